package doctor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/systemd"
)

func TestReaderOf(t *testing.T) {
	const mosquitto = "Name:\tmosquitto\nUid:\t110\t110\t110\t110\nGid:\t115\t115\t115\t115\nGroups:\t115 200 \nCapEff:\t%s\n"
	folder := t.TempDir()
	path := filepath.Join(folder, "passwd")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		uid, gid int
		mode     os.FileMode
		caps     string
		may      bool
	}{
		"root's":             {0, 0, 0o600, "0000000000000000", false},
		"its own":            {110, 0, 0o400, "0000000000000000", true},
		"its own, no rights": {110, 115, 0o044, "0000000000000000", false},
		"its group's":        {0, 200, 0o640, "0000000000000000", true},
		"another group's":    {0, 300, 0o640, "0000000000000000", false},
		"everybody's":        {0, 300, 0o604, "0000000000000000", true},
		"with capabilities":  {0, 0, 0o600, "0000000000000002", true},
	} {
		t.Run(name, func(t *testing.T) {
			if os.Getuid() != 0 {
				t.Skip("needs root")
			}
			if err := os.Chmod(path, test.mode); err != nil {
				t.Fatal(err)
			}
			if err := os.Chown(path, test.uid, test.gid); err != nil {
				t.Fatal(err)
			}
			var st unix.Stat_t
			if err := unix.Stat(path, &st); err != nil {
				t.Fatal(err)
			}
			if got := readerOf(strings.Replace(mosquitto, "%s", test.caps, 1)).may(st, 0o4); got != test.may {
				t.Errorf("it may read it: %v", got)
			}
		})
	}
}

// TestAssessReader: the test's own process is the server.
func TestAssessReader(t *testing.T) {
	path := filepath.Join(t.TempDir(), "passwd")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if v := assessReader("a.service", systemd.Reloading{MainPID: os.Getpid()}, path); v.state != OK {
		t.Errorf("%+v", v)
	}
}
