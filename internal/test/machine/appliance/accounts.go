package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	osuser "os/user"
	"strings"
)

// rewriteAccounts gives the OS accounts the store's passwords, and the store's ageing fields if it
// has them. This is what brings a lost password back. It skips users unknown to the OS.
func rewriteAccounts(ctx context.Context, tool string, users []user) error {
	for _, user := range users {
		if _, err := osuser.Lookup(user.name); err != nil {
			continue
		}
		command := exec.CommandContext(ctx, "usermod", "-p", user.hash, user.name)
		if tool == "chpasswd" {
			command = exec.CommandContext(ctx, "chpasswd", "-e")
			command.Stdin = strings.NewReader(user.name + ":" + user.hash + "\n")
		}
		commands := []*exec.Cmd{command}
		if user.ageing != nil {
			commands = append(commands, exec.CommandContext(ctx, "chage", append(user.ageing, user.name)...))
		}
		for _, command := range commands {
			if err := runTool(command); err != nil {
				return fmt.Errorf("cannot rewrite the account %s with %s: %w", user.name, command.Args[0], err)
			}
		}
	}
	return nil
}

func runTool(command *exec.Cmd) error {
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	return command.Run()
}
