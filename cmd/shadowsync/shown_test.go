package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// narrow accepts a number of bytes and then fails, like a full disk.
type narrow struct {
	text bytes.Buffer
	left int
}

func (n *narrow) Write(p []byte) (int, error) {
	taken, _ := n.text.Write(p[:min(len(p), n.left)])
	n.left -= taken
	if taken < len(p) {
		return taken, syscall.ENOSPC
	}
	return taken, nil
}

// TestUnshown: when generated passwords can no longer be printed, no further batch is set, and
// accounts whose password was not shown are named.
func TestUnshown(t *testing.T) {
	const n = 200
	s := newCrowd(t, n)
	for _, flags := range [][]string{nil, {"--json"}} {
		s.must(0, "user", "set", "password", "u0", "warm up", "--no-policy")
		before := s.read("/etc/shadow")
		var names strings.Builder
		for i := range n {
			fmt.Fprintf(&names, "u%d\n", i)
		}
		s.write("/names", 0o600, names.String())
		out, complaints := &narrow{left: 500}, &bytes.Buffer{}
		a := newApp(nil, out, complaints)
		a.batchTime = time.Millisecond
		root := newRoot(a)
		root.SetArgs(append([]string{"--root", s.root, "user", "reset", "password", "--from", s.path("/names")}, flags...))
		command, err := root.ExecuteContextC(t.Context())
		if status := a.finish(t.Context(), command, err); status != 1 {
			t.Errorf("%v: status %d", flags, status)
		}
		kept := 0
		for i := range n {
			name := fmt.Sprintf("u%d", i)
			same := strings.Contains(before, name+":"+s.osField(name, 2)+":")
			shown := strings.Contains(out.text.String(), "user `"+name+"` reset to `") || strings.Contains(out.text.String(), `{"name":"`+name+`"`)
			said := strings.Contains(complaints.String(), "shadowsync: cannot show the new password of "+name+": no space left on device\n")
			if same && said || !same && !said && !shown {
				t.Errorf("%v: %s: has its old password %v, shown %v, named %v", flags, name, same, shown, said)
			}
			if same {
				kept++
			}
		}
		if kept == 0 || !strings.Contains(complaints.String(), "hint: "+s.ours("user reset password ")) || strings.Count(complaints.String(), "cannot print what was done") != 1 {
			t.Errorf("%v: %d have their old password; it says\n%s", flags, kept, complaints)
		}
	}
}

// TestNoRoom: if it is known beforehand that the output cannot be written, nothing is set.
func TestNoRoom(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	before := s.read("/etc/shadow")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	reset := self + " --root " + s.root + " user reset password admin user222"
	for name, script := range map[string]string{
		"a device":    reset + " >/dev/full",
		"a full disk": "mount -t tmpfs -o size=64k none " + s.path("/srv") + " && cd " + s.path("/srv") + " && head -c 65536 /dev/zero >fill && exec 9>out && " + reset + " >&9",
		"a pipe":      "mkfifo " + s.path("/fifo") + " && { : <" + s.path("/fifo") + " & exec 9>" + s.path("/fifo") + "; wait; " + reset + " >&9; }",
	} {
		t.Run(name, func(t *testing.T) {
			c := exec.CommandContext(t.Context(), "unshare", "--mount", "sh", "-c", script)
			c.Env = append(os.Environ(), asTool+"=1")
			said, err := c.CombinedOutput()
			if c.ProcessState.ExitCode() != 1 || strings.Count(string(said), "the new password could not be shown: ") != 2 {
				t.Errorf("%v, it says:\n%s", err, said)
			}
			if s.read("/etc/shadow") != before {
				t.Error("something was set")
			}
		})
	}
}

// TestJSONWholeOrNone: an error before the first change is reported as by every other command.
func TestJSONWholeOrNone(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	var empty struct{ Accounts []accountResult }
	s.must(0, "user", "lock", "--from", "/dev/null", "--json").object(t, &empty)
	if err := os.Rename(s.path("/etc/shadow"), s.path("/etc/shadow.away")); err != nil {
		t.Fatal(err)
	}
	if r := s.run("", "user", "lock", "admin", "--json"); r.status == 0 || r.out != "" || !strings.HasPrefix(r.err, "shadowsync: cannot ") {
		t.Errorf("status %d, %q\n%s", r.status, r.out, r.err)
	}
}

// TestForgivenOnlyWhenSet: a failed change does not clear the failure counter.
func TestForgivenOnlyWhenSet(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	s.must(0, "user", "lock", "admin")
	s.refusals("admin", 5)
	if err := os.MkdirAll(s.path("/etc/shadow+/in-the-way"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.must(1, "user", "unlock", "admin")
	var u userStatus
	if s.must(0, "user", "show", "admin", "--json").object(t, &u); u.Failures != 5 || !*u.OS.Locked {
		t.Errorf("%d refused passwords are left, locked %v", u.Failures, *u.OS.Locked)
	}
	if err := os.RemoveAll(s.path("/etc/shadow+")); err != nil {
		t.Fatal(err)
	}
	s.must(0, "user", "unlock", "admin")
	if s.must(0, "user", "show", "admin", "--json").object(t, &u); u.Failures != 0 {
		t.Errorf("%d refused passwords are left", u.Failures)
	}
}
