package main

import (
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/admin/setup"
)

// A settled conflict is told as who settled it, and a dry run says of equal sides that they are in
// sync.
func TestSettledConflict(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	s.usermod("admin", s.hash("both"))
	s.setStore("admin", s.osField("admin", 2))
	if r := s.must(0, "sync", "--dry-run"); strings.Contains(r.out, "agreed") || strings.Contains(r.out, "write") || strings.Count(r.out, "in-sync") != 2 {
		t.Errorf("the plan for equal sides is\n%s", r.out)
	}
	for _, side := range []string{"os", "store"} {
		s.usermod("admin", s.hash("one "+side))
		s.setStore("admin", s.hash("two "+side))
		s.must(4, "sync")
		if r := s.must(0, "status"); strings.Contains(r.out, "settled") {
			t.Errorf("settled before anybody did:\n%s", r.out)
		}
		s.must(0, "sync", "admin", "--prefer", side)
		for _, line := range [][]string{{"status"}, {"history", "admin"}, {"audit"}} {
			if r := s.must(0, line...); !strings.Contains(r.out, "conflict settled by root") {
				t.Errorf("--prefer %s: %v says\n%s", side, line, r.out)
			}
		}
		s.usermod("admin", s.hash("later "+side))
		s.must(0, "sync", "--prefer", side) // a change that is no conflict is nobody's settlement
		if r := s.must(0, "status"); strings.Contains(r.out, "settled") {
			t.Errorf("--prefer %s: a plain change is told as settled:\n%s", side, r.out)
		}
	}
}

// A hint that says to run the command in another way keeps its arguments, but no password.
func TestHintsKeepArguments(t *testing.T) {
	s := newSystem(t)
	for line, want := range map[string]struct {
		err  error
		hint string
	}{
		"setup --unit a.service --account admin user222 --store json path=/a/b users=/x --dry-run": {
			&setup.FirstDifferenceError{}, "shadowsync setup --account admin --store json --unit a.service user222 'path=/a/b' 'users=/x' --first os (or --first store)",
		},
		"sync admin --prefer os --dry-run":  {notRootError{}, "sudo shadowsync sync --dry-run --prefer os admin"},
		"guard release 128T.service":        {notRootError{}, "sudo shadowsync guard release 128T.service"},
		"user lock admin user222":           {notRootError{}, "sudo shadowsync user lock admin user222"},
		"user set password admin secret":    {notRootError{}, "sudo shadowsync user set password admin"},
		"user set password --stdin nobody1": {notRootError{}, "sudo shadowsync user set password NAME"},
		"history restore admin 3":           {notRootError{}, "sudo shadowsync history restore admin 3"},
	} {
		a := newApp(nil, nil, nil)
		a.root = s.root
		c, words, err := newRoot(a).Find(strings.Fields(line))
		if err == nil {
			err = c.ParseFlags(words)
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := a.keeping(hintFor(want.err, c.CommandPath()), c, want.err); got != want.hint {
			t.Errorf("%s:\n got %s\nwant %s", line, got, want.hint)
		}
	}
	if r := s.must(1, "history", "restore", "admin", "9"); !strings.Contains(r.err, "hint: "+s.ours("history admin\n")) {
		t.Errorf("it says\n%s", r.err)
	}
	if r := s.must(1, "user", "set", "password", "admin"); !strings.Contains(r.err, "hint: "+s.ours("user set password admin --stdin\n")) {
		t.Errorf("it says\n%s", r.err)
	}
}
