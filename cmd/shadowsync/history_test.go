package main

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// history marks what is in use now, and undoing a restore is no guess: the command is printed and
// leads back, however often.
func TestHistoryLeadsBack(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	for _, password := range []string{"first", "second", "third"} {
		s.must(0, "user", "set", "password", "admin", password)
	}
	third := s.osField("admin", 2)
	undo := regexp.MustCompile(`To undo this: shadowsync --root \S+ history restore admin (\d+)\n`)
	n := "2"
	var other string
	for round := range 4 {
		r := s.must(0, "history", "restore", "admin", n)
		found := undo.FindStringSubmatch(r.out)
		if found == nil {
			t.Fatalf("round %d: it says\n%s", round, r.out)
		}
		n = found[1]
		now := s.osField("admin", 2)
		if round == 0 {
			other = now
		}
		if want := []string{other, third}[round%2]; now != want || now == third != (round%2 == 1) {
			t.Errorf("round %d: the OS has %s, want %s", round, now, want)
		}
		var list historyList
		s.must(0, "history", "admin", "--json").object(t, &list)
		used := 0
		for _, h := range list.History {
			if h.InUse {
				used++
			}
		}
		if list.Present == nil || list.Present.State != "in-sync" || used != 1 {
			t.Errorf("round %d: %d entries are in use; present %+v", round, used, list.Present)
		}
	}
	out := s.must(0, "history", "admin").out
	if !strings.Contains(out, "\nnow ") || !strings.Contains(out, "in use, since 2") || strings.Count(out, "in use again now") != 1 {
		t.Errorf("history says\n%s", out)
	}
	s.usermod("admin", s.hash("by hand"))
	if out := s.must(0, "history", "admin").out; !strings.Contains(out, "in use, queued") || strings.Contains(out, "in use again") {
		t.Errorf("after a change that nobody has worked on:\n%s", out)
	}
	s = newSystem(t)
	s.must(0, "sync")
	s.must(0, "user", "set", "password", "admin", "first")
	s.must(0, "user", "set", "password", "admin", "last")
	if out := s.must(0, "history", "admin").out; strings.Count(out, "replaced by what is in use now") != 1 || strings.Count(out, "replaced by entry 1\n") != 1 {
		t.Errorf("after a new one:\n%s", out)
	}
	// The value before the first one comes back: entry 1 had its place, and has its own from the last.
	s.must(0, "history", "restore", "admin", "2")
	s.must(0, "user", "set", "password", "admin", "another")
	var list historyList
	s.must(0, "history", "admin", "--json").object(t, &list)
	var went []int
	for _, h := range list.History {
		n := 0
		if h.ReplacedBy != nil {
			n = *h.ReplacedBy
		}
		went = append(went, n)
	}
	if want := []int{3, 1, 2}; !slices.Equal(went, want) {
		t.Errorf("the values went to %v, want %v:\n%s", went, want, s.must(0, "history", "admin").out)
	}
}

// TestHistoryOfSeveral: a value that only another store's record has is named with its store, and can be put
// back.
func TestHistoryOfSeveral(t *testing.T) {
	s := newSystem(t)
	if s.must(0, "sync"); strings.Contains(s.must(0, "history", "admin").out, "STORE OF") {
		t.Error("a store is named although there is one")
	}
	i := strings.Index(testConfig, "[application.store]")
	table := testConfig[i:]
	second := strings.Replace(table, "[application.store]", "[[application.store]]\nstore_name = \"second\"", 1)
	second = strings.Replace(second, "users.json", "second.json", 1)
	s.write("/etc/shadowsync/shadowsync.toml", 0o600, testConfig[:i]+strings.Replace(table, "[application.store]", "[[application.store]]", 1)+"\n"+second)
	s.write("/srv/appliance/second.json", 0o600, s.read("/srv/appliance/users.json"))
	if err := os.Chown(s.path("/srv/appliance/second.json"), storeOwner, storeOwner); err != nil {
		t.Fatal(err)
	}
	s.must(0, "sync")
	lost, old := s.hash("in the second store"), s.storePassword("admin")
	s.write("/srv/appliance/second.json", 0o600, strings.Replace(s.read("/srv/appliance/second.json"), old, lost, 1))
	s.usermod("admin", s.hash("by hand"))
	s.must(4, "sync")
	s.must(0, "sync", "admin", "--prefer", "os")
	var list historyList
	s.must(0, "history", "admin", "--json").object(t, &list)
	n := slices.IndexFunc(list.History, func(h historyEntry) bool { return h.Application == "conductor.second" }) + 1
	if n < 2 || n != len(list.History) || list.History[0].Application != "conductor" || len(list.Present.Others) != 1 || list.Present.Others[0].Application != "conductor.second" {
		t.Fatalf("the history is %+v, %+v", list.Present, list.History)
	}
	if out := s.must(0, "history", "admin").out; !strings.Contains(out, "STORE OF") || strings.Count(out, "\nnow ") != 2 || strings.Count(out, "conductor.second") != 2 {
		t.Errorf("history says\n%s", out)
	}
	s.must(0, "history", "restore", "admin", strconv.Itoa(n))
	if os := s.osField("admin", 2); os != lost || s.storePassword("admin") != lost || !strings.Contains(s.read("/srv/appliance/second.json"), lost) {
		t.Errorf("the OS has %s, the first store %s, the second %s", os, s.storePassword("admin"), s.read("/srv/appliance/second.json"))
	}
}
