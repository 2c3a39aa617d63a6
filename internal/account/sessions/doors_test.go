package sessions

import (
	"errors"
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
	// A home that is a file is no way in, and no error.
	if doors, err := Doors(root, "x", 1, "/var/spool/cron/crontabs/root"); err != nil || len(doors) != 0 {
		t.Errorf("got %+v, %v", doors, err)
	}
}

// The next account with the name or the uid inherits nothing, and no other account loses anything.
func TestClose(t *testing.T) {
	root := t.TempDir()
	put := func(path string) {
		t.Helper()
		full := filepath.Join(root, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o755), os.WriteFile(full, []byte("* * * * * true"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	left := func(path string) bool {
		_, err := os.Lstat(filepath.Join(root, path))
		return err == nil
	}
	own := []string{"/var/spool/cron/crontabs/admin", "/var/spool/cron/tabs/admin", "/var/spool/cron/atjobs/a00001", "/var/spool/at/a00002", "/var/lib/systemd/linger/admin"}
	others := []string{"/var/spool/cron/crontabs/root", "/var/spool/cron/atjobs/.SEQ", "/var/lib/systemd/linger/root", "/secret"}
	for _, path := range append(own, others...) {
		put(path)
	}
	// A link is not followed, whatever it replaces.
	if err := os.Symlink(filepath.Join(root, "secret"), filepath.Join(root, "/var/spool/cron/admin")); err != nil {
		t.Fatal(err)
	}
	jobs := own[2:4]
	if err := Close(root, "admin", -1); err != nil || !left(jobs[0]) || !left(jobs[1]) {
		t.Errorf("the jobs of a uid that others have too: %v", err)
	}
	for range 2 {
		if err := Close(root, "admin", os.Getuid()); err != nil {
			t.Error(err)
		}
	}
	for _, path := range append(own, "/var/spool/cron/admin") {
		if left(path) {
			t.Errorf("%s is left", path)
		}
	}
	for _, path := range others {
		if !left(path) {
			t.Errorf("%s is gone", path)
		}
	}
	for _, name := range []string{"crontabs", "atjobs"} {
		if err := Close(root, name, -1); err != nil || !left("/var/spool/cron/"+name) {
			t.Errorf("an account that is named %s: %v", name, err)
		}
	}
}
