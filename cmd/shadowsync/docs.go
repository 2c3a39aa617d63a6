//go:build docs

package main

import (
	"fmt"
	"os"

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
		Use: "man DIR", Short: "Write the man pages into a folder", Args: exactly(1),
		RunE: func(c *cobra.Command, given []string) error { return writeManPages(c.Root(), given[0]) },
	})
	return c
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
