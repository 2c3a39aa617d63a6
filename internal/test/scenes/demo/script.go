package main

import (
	"context"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// An act is a part of the story.
type act struct {
	title string
	intro string
	setup func(context.Context, *machine.Machine) error // runs before the act, without output; nil: nothing
	steps []step
}

// A step is one command, and the result that it must have.
type step struct {
	says    string   // printed before the command
	command string   // typed at root's prompt
	types   []string // typed at each password prompt
	fails   bool     // its exit status must not be 0
	shows   []string // its output must contain all of these
	proves  string   // printed after the command
}

// The passwords of the story. Nobody remembers the lost one; the script types it to see whether it
// still opens the account.
const (
	lost  = machine.OldPassword
	first = "Quartz-42-lantern"
	found = "Walnut-77-harbour"
)

const (
	login   = "ssh admin@localhost whoami"
	restart = "systemctl restart 128T"
)

var script = []act{
	{
		title: "Without shadowsync",
		intro: "128T is an appliance with a user database of its own. At every start it sets the\n" +
			"passwords of its OS accounts from there. The password of admin (" + lost + ") is lost.",
		steps: []step{
			{
				says: "Root sets a new one: " + first + ".", command: "passwd admin",
				types: []string{first, first}, shows: []string{"password updated successfully"},
			},
			{says: "Login with the new password:", command: login, types: []string{first}, shows: []string{"admin"}, proves: "It works, for now."},
			{says: "Then the appliance restarts.", command: restart},
			{
				says: "Login with the new password:", command: login,
				types: []string{first}, fails: true, shows: []string{"Permission denied"}, proves: "The new password is gone.",
			},
			{says: "Login with the lost password:", command: login, types: []string{lost}, shows: []string{"admin"}, proves: "The lost password is back."},
		},
	},
	{
		title: "Installing shadowsync",
		intro: "make install has put the programs on the machine. Nothing is wired yet.",
		setup: install,
		steps: []step{
			{command: "cat /etc/shadowsync/shadowsync.toml", shows: []string{"128T.service"}},
			{command: "shadowsync setup --first os"},
			{command: "shadowsync status --check", shows: []string{"admin", "in-sync"}, proves: "The OS and the appliance hold the same passwords."},
		},
	},
	{
		title: "With shadowsync",
		intro: "The same recovery again.",
		steps: []step{
			{
				says: "Root sets a new password: " + found + ".", command: "passwd admin",
				types: []string{found, found}, shows: []string{"shadowsync: admin: persisted in conductor's credential store", "password updated successfully"},
				proves: "It was in the appliance's own database before passwd returned.",
			},
			{says: "The appliance restarts.", command: restart},
			{says: "Login with the new password:", command: login, types: []string{found}, shows: []string{"admin"}, proves: "The new password survived the restart."},
			{
				says: "Login with the lost password:", command: login,
				types: []string{lost}, fails: true, shows: []string{"Permission denied"}, proves: "The lost password opens nothing.",
			},
			{command: "shadowsync status", shows: []string{"admin", "in-sync", "passwd"}},
			{command: "shadowsync audit --user admin", shows: []string{"admin", "passwd"}},
		},
	},
}

// install does what an administrator does first: make install, and a configuration.
func install(ctx context.Context, m *machine.Machine) error {
	if err := m.InstallShadowsync(ctx); err != nil {
		return err
	}
	return m.WriteFile(ctx, machine.ConfigurationPath, []byte(machine.Configuration), 0o600)
}
