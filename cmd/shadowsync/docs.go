//go:build docs

package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/cpuguy83/go-md2man/v2/md2man"
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/shadowsync/shadowsync/docs"
	"github.com/shadowsync/shadowsync/internal/state"
)

// Only `make install` builds the program with these pages: linking cobra/doc's Markdown and YAML
// code would cost every start of shadowsync half a millisecond.
func init() { buildCommands = append(buildCommands, newDocs) }

// newDocs writes the documentation that `make install` installs.
func newDocs() *cobra.Command {
	c := &cobra.Command{Use: "docs", Short: "Write documentation", Hidden: true}
	c.AddCommand(&cobra.Command{
		Use: "man DIR", Short: "Write the man pages into the folders man5, man7 and man8 of DIR", Args: exactly(1),
		RunE: func(c *cobra.Command, given []string) error {
			for _, section := range []string{"man5", "man7", "man8"} {
				if err := os.MkdirAll(filepath.Join(given[0], section), 0o755); err != nil {
					return fmt.Errorf("cannot write man pages: %w", err)
				}
			}
			if err := writeManPages(c.Root(), filepath.Join(given[0], "man8")); err != nil {
				return err
			}
			return writeReference(given[0])
		},
	})
	c.AddCommand(&cobra.Command{
		Use: "keys FILE", Short: "Write the keys of the configuration into their part of a page", Args: exactly(1),
		RunE: func(_ *cobra.Command, given []string) error { return writeKeys(given[0]) },
	})
	c.AddCommand(&cobra.Command{
		Use: "schema", Short: "Print the newest schema of the state that this program can read", Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(c.OutOrStdout(), state.Schema())
			return err
		},
	})
	return c
}

// writeReference writes the pages of docs/ as man pages.
func writeReference(dir string) error {
	files, err := fs.Glob(docs.Pages, "*.md")
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := docs.Pages.ReadFile(file)
		if err != nil {
			return err
		}
		name, section := manPage(strings.TrimSuffix(file, ".md"))
		path := filepath.Join(dir, "man"+section, name+"."+section)
		if err := os.WriteFile(path, md2man.Render(manText(name, section, string(text))), 0o644); err != nil {
			return fmt.Errorf("cannot write man pages: %w", err)
		}
	}
	return nil
}

// manPage returns the name and the section of the man page made from a page of docs/.
func manPage(page string) (name, section string) {
	if page == "configuration" {
		return "shadowsync.toml", "5"
	}
	return "shadowsync-" + page, "7"
}

// writeManPages writes one page per command, each with the exit statuses.
func writeManPages(root *cobra.Command, dir string) error {
	root.DisableAutoGenTag = true
	addExitStatus(root)
	header := &doc.GenManHeader{Section: "8", Source: "shadowsync", Manual: "System Administration"}
	if err := doc.GenManTree(root, header, dir); err != nil {
		return fmt.Errorf("cannot write man pages: %w", err)
	}
	return nil
}

func addExitStatus(c *cobra.Command) {
	if c.Long == "" {
		c.Long = c.Short
	}
	c.Long += "\n" + exitHelp()
	for _, sub := range c.Commands() {
		addExitStatus(sub)
	}
}
