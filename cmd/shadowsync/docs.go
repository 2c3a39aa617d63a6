//go:build docs

package main

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cpuguy83/go-md2man/v2/md2man"
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// The program that writes the pages is built for `make install` alone: cobra/doc's
// Markdown and YAML would cost every start of shadowsync half a millisecond.
func init() { buildCommands = append(buildCommands, newDocs) }

// newDocs writes what `make install` ships beside the program.
func newDocs() *cobra.Command {
	c := &cobra.Command{Use: "docs", Short: "Write documentation", Hidden: true}
	c.AddCommand(&cobra.Command{
		Use: "man DIR8 DIR7", Short: "Write the man pages into the folders of sections 8 and 7", Args: exactly(2),
		RunE: func(c *cobra.Command, given []string) error {
			if err := writeManPages(c.Root(), given[0]); err != nil {
				return err
			}
			return writeJSONPage(given[1])
		},
	})
	return c
}

//go:embed json.md
var jsonDocument []byte

const jsonHead = `% "SHADOWSYNC-JSON" "7" "" "shadowsync" "Miscellaneous"
# NAME
shadowsync-json - what the commands of shadowsync(8) print with --json

`

func writeJSONPage(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("cannot write man pages: %w", err)
	}
	page := md2man.Render(append([]byte(jsonHead), jsonDocument...))
	if err := os.WriteFile(filepath.Join(dir, "shadowsync-json.7"), page, 0o644); err != nil {
		return fmt.Errorf("cannot write man pages: %w", err)
	}
	return nil
}

// writeManPages writes one page a command, with the exit status on each.
func writeManPages(root *cobra.Command, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("cannot write man pages: %w", err)
	}
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
