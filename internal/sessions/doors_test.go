package sessions

import (
	"os"
	"path/filepath"
	"testing"
)

func TestDoors(t *testing.T) {
	root := t.TempDir()
	put := func(path, text string) {
		t.Helper()
		full := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(want ...string) {
		t.Helper()
		doors, err := Doors(root, "admin", os.Getuid(), "/home/admin")
		if err != nil || len(doors) != len(want) {
			t.Errorf("got %+v, %v, want %q", doors, err, want)
			return
		}
		for i, d := range doors {
			if d.Kind != want[i] {
				t.Errorf("got %+v, want %q", d, want[i])
			}
		}
	}
	expect()
	put("/home/admin/.ssh/authorized_keys", "")
	put("/var/spool/cron/crontabs/root", "* * * * * true")
	put("/var/spool/cron/atjobs/.SEQ", "1")
	expect()
	put("/home/admin/.ssh/authorized_keys", "ssh-ed25519 AAAA")
	put("/var/spool/cron/crontabs/admin", "* * * * * true")
	put("/var/spool/cron/atjobs/a0000101bd", "#!/bin/sh")
	put("/var/lib/systemd/linger/admin", "")
	expect("authorized_keys", "crontab", "at", "linger")
	// A home that is a file is nobody's door, and no error.
	if doors, err := Doors(root, "x", 1, "/var/spool/cron/crontabs/root"); err != nil || len(doors) != 0 {
		t.Errorf("got %+v, %v", doors, err)
	}
}
