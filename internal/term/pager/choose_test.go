package pager

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestChoose(t *testing.T) {
	less := ""
	for _, path := range fallback {
		if _, err := os.Stat(path); err == nil && less == "" {
			less = path
		}
	}
	if less == "" {
		t.Skip("there is no less")
	}
	const variables = "TERM=xterm PATH=/usr/bin:/bin "
	for name, test := range map[string]struct {
		variables string
		ours      bool
		want      string // "": none
	}{
		"the system's":            {variables, true, less},
		"PAGER":                   {variables + "PAGER=/bin/more", true, "/bin/more"},
		"ours comes first":        {variables + "PAGER=/bin/cat SHADOWSYNC_PAGER=/bin/more", true, "/bin/more"},
		"another user's":          {variables + "PAGER=/bin/more SHADOWSYNC_PAGER=/bin/more", false, less},
		"none":                    {variables + "PAGER=", true, ""},
		"cat":                     {variables + "PAGER=cat", true, ""},
		"another user wants none": {variables + "SHADOWSYNC_PAGER= PAGER=/bin/more", false, ""},
		"there is no such":        {variables + "PAGER=/no/pager", true, less},
		"no terminal type":        {"PATH=/bin", true, ""},
		"a dumb terminal":         {"TERM=dumb", true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			if command := (Environment{strings.Fields(test.variables), test.ours}).choose(t.Context()); command != nil {
				got = command.Path
				if !slices.Contains(command.Env, "LESSSECURE=1") {
					t.Errorf("not in secure mode: %q", command.Env)
				}
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestAnotherUsersVariables: they must not make the pager of root start programs, read or write
// files.
func TestAnotherUsersVariables(t *testing.T) {
	hostile := []string{
		"LESSSECURE=0", "LESSSECURE_ALLOW=shell", "LESSOPEN=|sh %s", "LESSCLOSE=sh", "LESS=+!sh", "LESSKEY=/tmp/key", "LESSKEYIN=/tmp/key", "LESSHISTFILE=/etc/shadow",
		"LESSEDIT=sh", "EDITOR=sh", "VISUAL=sh", "SHELL=/tmp/sh", "HOME=/tmp", "PATH=/tmp", "LD_PRELOAD=/tmp/x.so", "TERMINFO=/tmp", "TERMCAP=/tmp/x", "LC_ALL=../../tmp", "LOCPATH=/tmp",
	}
	e := Environment{Variables: append(hostile, "TERM=xterm", "LANG=de_DE.UTF-8")}
	got := e.clean()
	slices.Sort(got)
	want := []string{"LANG=de_DE.UTF-8", "LESS=FKMX", "LESSCHARSET=utf-8", "LESSSECURE=1", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	e.Ours = true
	got = e.clean()
	for _, variable := range []string{"LESSSECURE=1", "LESS=+!sh", "HOME=/tmp"} { // root's own options, still in secure mode
		if !slices.Contains(got, variable) {
			t.Errorf("%s is missing in %q", variable, got)
		}
	}
	for _, name := range []string{"LESSSECURE_ALLOW", "LESSOPEN", "LESSCLOSE", "LESSSECURE=0"} {
		if slices.ContainsFunc(got, func(v string) bool { return strings.HasPrefix(v, name) }) {
			t.Errorf("%s is in %q", name, got)
		}
	}
}

// TestHere: variables that came through sudo, doas or pkexec are another user's.
func TestHere(t *testing.T) {
	for _, name := range []string{"SUDO_UID", "SUDO_USER", "SUDO_COMMAND", "DOAS_USER", "PKEXEC_UID"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, "1000")
			if Here().Ours {
				t.Error("taken for our own")
			}
		})
	}
}
