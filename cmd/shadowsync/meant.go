package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/shadowsync/shadowsync/internal/files/inroot"
)

// People remember the words of a command but not their order: "set password admin", "password set
// admin", "lock admin". If exactly one command has these words, with or without "user", the hint is
// that command.

// sameWords maps synonyms to the commands' words.
var sameWords = map[string]string{
	"users": "user", "account": "user", "accounts": "user", "passwd": "password", "change": "set", "ls": "list", "guards": "guard",
}

// inShell are words for commands that pcli has, for root too, and this tool lacks.
var inShell = map[string]string{"add": "create", "create": "create", "delete": "delete", "del": "delete", "edit": "edit"}

// meant returns the command that these words probably mean, with the accounts that they name, or ""
// if that is not clear. It repeats no other word, which may be a password.
func (a *app) meant(c *cobra.Command, args []string) string {
	given := append(strings.Fields(c.CommandPath())[1:], args...)
	words := make([]string, len(given))
	for i, word := range given {
		words[i] = word
		if same, ok := sameWords[word]; ok {
			words[i] = same
		}
	}
	if verb := shellVerb(words); verb != "" && !a.mounted() {
		name := "NAME"
		if names := a.accountsAmong(given[2:]); len(names) > 0 && verb != "create" {
			name = names[0]
		}
		return "pcli -c '" + verb + " user " + name + "'"
	}
	var found []string
	for _, command := range commandsBelow(c.Root()) {
		path := strings.Fields(command.CommandPath())[1:]
		n := len(path)
		if !beginsWith(words, path) {
			if path[0] != "user" || !beginsWith(words, path[1:]) {
				continue
			}
			n--
		}
		found = append(found, command.CommandPath()+a.operands(command, given[n:]))
	}
	if len(found) != 1 {
		return ""
	}
	return found[0]
}

// shellVerb is pcli's word for the action on a user, or "".
func shellVerb(words []string) string {
	switch {
	case len(words) < 2:
		return ""
	case words[0] == "user":
		return inShell[words[1]]
	case words[1] == "user":
		return inShell[words[0]]
	}
	return ""
}

// beginsWith reports whether these words come first, in any order.
func beginsWith(words, these []string) bool {
	if len(words) < len(these) {
		return false
	}
	first := slices.Sorted(slices.Values(words[:len(these)]))
	return slices.Equal(first, slices.Sorted(slices.Values(these)))
}

// commandsBelow returns the commands that do something, without the hidden ones.
func commandsBelow(c *cobra.Command) (commands []*cobra.Command) {
	for _, sub := range c.Commands() {
		switch {
		case sub.Hidden || sub.Name() == "completion" || sub.Name() == "help":
		case sub.HasSubCommands():
			commands = append(commands, commandsBelow(sub)...)
		default:
			commands = append(commands, sub)
		}
	}
	return commands
}

// operands completes a command with what it needs: the named accounts, or the placeholder from its
// help.
func (a *app) operands(command *cobra.Command, given []string) string {
	_, needs, _ := strings.Cut(command.Use, " ")
	needs = strings.TrimPrefix(needs, "{")
	if needs == "" || strings.HasPrefix(needs, "[") {
		return ""
	}
	if !strings.HasPrefix(needs, "NAME") {
		return " " + needs
	}
	names := a.accountsAmong(given)
	switch {
	case len(names) == 0:
		return " NAME"
	case !strings.HasPrefix(needs, "NAME..."):
		names = names[:1]
	}
	return " " + strings.Join(names, " ")
}

// accountsAmong returns the leading words that are names of accounts. It reads only the local file:
// the words may contain a password and must not reach a directory service.
func (a *app) accountsAmong(words []string) (names []string) {
	file, err := inroot.ReadFile(a.root, "etc/passwd")
	if err != nil {
		return nil
	}
	for _, word := range words {
		if word == "" || strings.ContainsAny(word, ":\n") || !strings.Contains("\n"+string(file), "\n"+word+":") {
			break
		}
		names = append(names, word)
	}
	return names
}
