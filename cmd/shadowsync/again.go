package main

import (
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/shadowsync/shadowsync/internal/admin/setup"
)

// A hint that says to run the same command in another way keeps the arguments that were typed, so
// that it can be copied. It repeats none that may be a password.

// keeping returns a hint with the arguments of the command that failed.
func (a *app) keeping(hint string, c *cobra.Command, err error) string {
	path := c.CommandPath()
	names := a.accountsAmong(c.Flags().Args())
	switch {
	case errors.As(err, new(notRootError)):
		return strings.Replace(hint, path, path+a.typed(c), 1)
	case errors.As(err, new(*setup.FirstDifferenceError)):
		return strings.Replace(hint, path, path+a.typed(c, "first", "dry-run"), 1)
	case len(names) == 1 && aboutAccount(c): // with several it is unclear which one failed
		return placeholder(hint, names[0])
	}
	return hint
}

// aboutAccount reports whether the arguments of a command begin with accounts.
func aboutAccount(c *cobra.Command) bool {
	_, needs, _ := strings.Cut(c.Use, " ")
	return strings.HasPrefix(strings.TrimLeft(needs, "{["), "NAME")
}

// placeholder puts a name in place of each word NAME.
func placeholder(text, name string) string {
	words := strings.Split(text, " ")
	for i, word := range words {
		if word == "NAME" {
			words[i] = name
		}
	}
	return strings.Join(words, " ")
}

// typed returns a command's arguments and flags as they were given, without those left out. Of the
// commands that people give passwords to, it returns only the names of accounts.
func (a *app) typed(c *cobra.Command, without ...string) string {
	if aboutUsers(c) {
		return a.operands(c, c.Flags().Args())
	}
	var words []string
	c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
		if f.Changed && !slices.Contains(without, f.Name) {
			words = append(words, asTyped(f)...)
		}
	})
	words = append(words, c.Flags().Args()...)
	text := ""
	for _, word := range words {
		text += " " + shellWord(word)
	}
	return text
}

// asTyped returns a flag with its value, or with each of its values.
func asTyped(f *pflag.Flag) (words []string) {
	switch value := f.Value.(type) {
	case pflag.SliceValue:
		for _, one := range value.GetSlice() {
			words = append(words, "--"+f.Name, one)
		}
		return words
	default:
		if f.NoOptDefVal != "" && f.Value.String() == f.NoOptDefVal {
			return []string{"--" + f.Name}
		}
		return []string{"--" + f.Name, f.Value.String()}
	}
}
