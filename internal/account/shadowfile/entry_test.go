package shadowfile

import (
	"slices"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/shadowsync"
)

const noDay = shadowsync.NoDay

func TestRewriteTouchesOnlyWhatChanged(t *testing.T) {
	change := func(do func(*shadowsync.Credential)) func(*shadowsync.Credential) { return do }
	tests := []struct {
		name, before, after string
		change              func(*shadowsync.Credential)
	}{
		{"nothing", "a:x:+1:-0: 3:4:5:6:7\n", "a:x:+1:-0: 3:4:5:6:7\n", change(func(*shadowsync.Credential) {})},
		{"hash", "a:x:+1:-0: 3:4:5:6:7\n", "a:$6$y:+1:-0: 3:4:5:6:7\n", change(func(c *shadowsync.Credential) { c.Hash = "$6$y" })},
		{"lock", "a:x:1:2:3:4:5:6:\n", "a:!x:1:2:3:4:5:6:\n", change(func(c *shadowsync.Credential) { c.Locked = true })},
		{"must change", "a:x:1:2:3:4:5:6:\n", "a:x:0:2:3:4:5:6:\n", change(func(c *shadowsync.Credential) { c.MustChange, c.LastChange = true, noDay })},
		{"must no longer change", "a:x:0:2:3:4:5:6:\n", "a:x:20000:2:3:4:5:6:\n", change(func(c *shadowsync.Credential) { c.MustChange, c.LastChange = false, 20000 })},
		{"no last change", "a:x:1:2:3:4:5:6:\n", "a:x::2:3:4:5:6:\n", change(func(c *shadowsync.Credential) { c.LastChange = noDay })},
		{"expire, no newline", "a:x:1:2:3:4:5:6:7", "a:x:1:2:3:4:5:21000:7", change(func(c *shadowsync.Credential) { c.Expire = 21000 })},
		{"fill empty fields", "a:x:::::::\n", "a:x:::90::30::\n", change(func(c *shadowsync.Credential) { c.Max, c.Inactive = 90, 30 })},
		{"old form, hash", "a:x:1:2:3: \r\n", "a:y:1:2:3: \r\n", change(func(c *shadowsync.Credential) { c.Hash = "y" })},
		{"old form, warn", "a:x:1:2:3: \r\n", "a:x:1:2:3:7:::\n", change(func(c *shadowsync.Credential) { c.Warn = 7 })},
		{"indented", " a:x:1:2:3:4:5:6:\n", " a:y:1:2:3:4:5:6:\n", change(func(c *shadowsync.Credential) { c.Hash = "y" })},
		{"a NUL behind", "a:x:1:2:3:4:5:6:\x00b\n", "a:y:1:2:3:4:5:6:\x00b\n", change(func(c *shadowsync.Credential) { c.Hash = "y" })},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e, ok := parseEntry(readLine(test.before))
			if !ok {
				t.Fatal("not an entry")
			}
			want := e.credential()
			test.change(&want)
			got, err := e.rewrite(test.before, want)
			if err != nil || got != test.after {
				t.Errorf("rewrite = %q, %v; want %q", got, err, test.after)
			}
		})
	}
}

func TestCheckRefusesWhatTearsALine(t *testing.T) {
	good := shadowsync.NoAgeing()
	good.Hash = "$6$salt$hash"
	bad := map[string]func(*shadowsync.Credential){
		"colon":           func(c *shadowsync.Credential) { c.Hash = "x:0" },
		"newline":         func(c *shadowsync.Credential) { c.Hash = "x\nroot::1:::::" },
		"NUL":             func(c *shadowsync.Credential) { c.Hash = "x\x00" },
		"carriage return": func(c *shadowsync.Credential) { c.Hash = "x\r" },
		"delete":          func(c *shadowsync.Credential) { c.Hash = "x\x7f" },
		"too long":        func(c *shadowsync.Credential) { c.Hash = strings.Repeat("x", maxPassword+1) },
		"hidden lock":     func(c *shadowsync.Credential) { c.Hash = "!x" },
		"day zero":        func(c *shadowsync.Credential) { c.LastChange = 0 },
		"two last days":   func(c *shadowsync.Credential) { c.LastChange, c.MustChange = 5, true },
		"negative day":    func(c *shadowsync.Credential) { c.Max = -2 },
		"huge day":        func(c *shadowsync.Credential) { c.Expire = 1 << 31 },
	}
	for name, spoil := range bad {
		t.Run(name, func(t *testing.T) {
			want := good
			spoil(&want)
			if err := check(shadowsync.Write{Name: "a", Expect: good, Want: want}); err == nil {
				t.Error("accepted")
			}
		})
	}
	if err := check(shadowsync.Write{Name: "a", Expect: shadowsync.NoAgeing(), Want: good}); err != nil {
		t.Errorf("a good write: %v", err)
	}
	odd := good
	odd.Hash, odd.Max = "odd\t\r", -5
	if err := check(shadowsync.Write{Name: "a", Expect: odd, Want: odd.With(good, shadowsync.FieldWarn)}); err != nil {
		t.Errorf("a write that leaves odd values alone: %v", err)
	}
}

// everybody makes every name a known user, so that edit works on any document.
func everybody(document string) *users {
	known := &users{index: map[string]int{}}
	for raw := range strings.Lines(document) {
		if e, ok := parseEntry(readLine(raw)); ok && isAccountName(e.name) {
			known.add(user{name: e.name, uid: 1000, shadowed: true})
		}
	}
	return known
}

// accounts reads a document as Read reads a file, in pieces that end anywhere.
func accounts(document string, known *users) map[string]shadowsync.Account {
	c := newCollector(known)
	s := splitter{do: c.take}
	for piece := range slices.Chunk([]byte(document), 7) {
		_, _ = s.Write(piece) // never fails
	}
	s.end()
	return c.found
}

// FuzzParse checks the parser's rule: what is not changed stays byte for byte, and what is changed
// reads back.
func FuzzParse(f *testing.F) {
	for _, document := range awkward {
		f.Add(document, "$y$j9T$salt$hash", 20000)
	}
	f.Fuzz(func(t *testing.T, document, hash string, day int) {
		known := everybody(document)
		before := accounts(document, known)
		m := newMatcher(known)
		for raw := range strings.Lines(document) {
			if _, e, ok := m.match(raw); ok && before[e.name].Credential != e.credential() {
				t.Fatalf("%q: the line of %q is left out", document, e.name)
			}
		}
		for name, account := range before {
			want := account.Credential
			want.Hash, want.Warn = hash, shadowsync.Day(day)
			write := shadowsync.Write{Name: name, Expect: account.Credential, Want: want}
			if check(write) != nil {
				continue
			}
			lines := slices.Collect(strings.Lines(document))
			left, moved := edit(lines, known, []shadowsync.Write{write})
			if moved != (strings.Join(lines, "") != document) {
				t.Fatalf("%q: moved is %t", document, moved)
			}
			if len(left) > 0 {
				if moved {
					t.Fatalf("%q was edited in spite of %v", document, left)
				}
				continue
			}
			checkOnlyChanged(t, document, lines, name, want)
		}
	})
}

func checkOnlyChanged(t *testing.T, document string, lines []string, name string, want shadowsync.Credential) {
	t.Helper()
	edited := strings.Join(lines, "")
	after := accounts(edited, everybody(edited))
	if after[name].Credential != want {
		t.Fatalf("%q of %q became %+v, want %+v", name, document, after[name].Credential, want)
	}
	changed := 0
	for i, old := range slices.Collect(strings.Lines(document)) {
		if lines[i] != old {
			changed++
		}
	}
	if changed > 1 {
		t.Fatalf("%q: %d lines changed, one account was written", document, changed)
	}
}

func TestParseCarriesEverything(t *testing.T) {
	document := strings.Join(awkward, "\n")
	for size := range 20 {
		var lines []string
		s := splitter{do: func(raw []byte) { lines = append(lines, string(raw)) }}
		for piece := range slices.Chunk([]byte(document), size+1) {
			_, _ = s.Write(piece) // never fails
		}
		s.end()
		if want := slices.Collect(strings.Lines(document)); !slices.Equal(lines, want) {
			t.Errorf("in pieces of %d bytes: %q, want %q", size+1, lines, want)
		}
	}
	found := accounts(document, everybody(document))
	if found["dup"].Hash != "a" {
		t.Errorf("the first of two lines counts, got %q", found["dup"].Hash)
	}
	for name := range found {
		if !isAccountName(name) {
			t.Errorf("%q is a NIS line, not an account", name)
		}
	}
}
