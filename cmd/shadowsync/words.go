package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// A password may be on the command line: in its place, as NEW, or by mistake in the place of a name
// or a command. Process lists and the journal's _CMDLINE must not show it, and the audit must not
// keep it as a name.

// hiddenWords reports which words of a command line to hide: all operands and flag values of a
// "user" command, and everything from the first unknown command on. Names of known flags stay
// visible.
func hiddenWords(root *cobra.Command, words []string) []bool {
	hide := make([]bool, len(words))
	c, over, value := root, false, false
	for i, word := range words {
		switch {
		case value:
			value, hide[i] = false, over || aboutUsers(c)
		case !over && strings.HasPrefix(word, "--") && len(word) > 2:
			name, _, given := strings.Cut(word[2:], "=")
			flag := flagOf(c, name)
			hide[i] = flag == nil || given && aboutUsers(c)
			value = flag != nil && !given && flag.NoOptDefVal == ""
		case !over && childOf(c, word) != nil:
			c = childOf(c, word)
		default:
			over = over || c.HasSubCommands() || word == "--"
			hide[i] = over || aboutUsers(c)
		}
	}
	return hide
}

func flagOf(c *cobra.Command, name string) *pflag.Flag {
	for ; c != nil; c = c.Parent() {
		if flag := c.Flags().Lookup(name); flag != nil {
			return flag
		}
		if flag := c.PersistentFlags().Lookup(name); flag != nil {
			return flag
		}
	}
	return nil
}

func childOf(c *cobra.Command, name string) *cobra.Command {
	for _, sub := range c.Commands() {
		if sub.Name() == name || sub.HasAlias(name) {
			return sub
		}
	}
	return nil
}

// aboutUsers reports whether a command is one that people give passwords to.
func aboutUsers(c *cobra.Command) bool {
	return strings.HasPrefix(c.CommandPath()+" ", "shadowsync user ")
}

// quotable reports whether an unknown command may be repeated, because it looks like one.
func quotable(word string) bool {
	return len(word) <= 12 && strings.Trim(word, "abcdefghijklmnopqrstuvwxyz-") == ""
}
