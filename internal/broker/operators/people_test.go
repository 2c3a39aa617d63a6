package operators

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/eventually"
	"github.com/shadowsync/shadowsync/shadowsync"
)

func TestPeople(t *testing.T) {
	root := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(root, "etc", name)
		if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	write("group", "operators:x:50:admin\n")
	write("passwd", "admin:x:1000:1000::/home/admin:/bin/sh\n")
	var p people
	read := func() int {
		t.Helper()
		known, err := p.read(t.Context(), root)
		if err != nil {
			t.Fatal(err)
		}
		return len(known["admin"].Groups)
	}
	if n := read(); n != 1 || p.known != nil {
		t.Errorf("%d groups; fresh files were trusted: %v", n, p.known != nil)
	}
	eventually.Holds(t, "files that nobody touches are no longer read again and again", func() bool { read(); return p.known != nil })
	write("group", "operators:x:50:\n")
	if n := read(); n != 0 {
		t.Error("a change went unnoticed")
	}
	if err := os.Remove(filepath.Join(root, "etc/passwd")); err != nil {
		t.Fatal(err)
	}
	if _, err := p.read(t.Context(), root); err == nil {
		t.Error("told of people out of a file that is gone")
	}
}

func TestExpires(t *testing.T) {
	for _, tt := range []struct {
		changed, most shadowsync.Day
		want          string
	}{
		{20000, 90, "2025-01-02"},
		{20000, 99998, "2298-07-18"},
		{20000, forever, ""}, // not the year 2298
		{20000, shadowsync.NoDay, ""},
		{shadowsync.NoDay, 90, ""},
	} {
		if got := date(expires(shadowsync.Credential{LastChange: tt.changed, Max: tt.most})); got != tt.want {
			t.Errorf("a password of day %d that holds %d days expires on %q, want %q", tt.changed, tt.most, got, tt.want)
		}
	}
}
