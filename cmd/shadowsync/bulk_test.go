package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/password/crypt"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// newCrowd makes a system with n accounts u0, u1 ... on which OS and store agree.
func newCrowd(t *testing.T, n int) *system {
	t.Helper()
	s := newSystem(t)
	old := s.hash("old")
	var passwd, shadow, names, users strings.Builder
	for i := range n {
		fmt.Fprintf(&passwd, "u%d:x:%d:1000::/:/bin/sh\n", i, 2000+i)
		fmt.Fprintf(&shadow, "u%d:%s:19000:0:99999:7:::\n", i, old)
		fmt.Fprintf(&names, ", \"u%d\"", i)
		fmt.Fprintf(&users, ", {\"name\": \"u%d\", \"password\": \"%s\"}", i, old)
	}
	s.write("/etc/passwd", 0o644, s.read("/etc/passwd")+passwd.String())
	s.write("/etc/shadow", 0o640, s.read("/etc/shadow")+shadow.String())
	s.write("/etc/shadowsync/shadowsync.toml", 0o600, strings.Replace(testConfig, `"user222"]`, `"user222"`+names.String()+"]", 1))
	s.write("/srv/appliance/users.json", 0o600, strings.Replace(s.read("/srv/appliance/users.json"), "}]}", "}"+users.String()+"]}", 1))
	s.must(0, "sync")
	return s
}

// TestSetFromList: one failing line does not hide the success of the others, and no password is
// shown.
func TestSetFromList(t *testing.T) {
	s := newCrowd(t, 3)
	s.write("/list", 0o600, "u0:first:with colon\n\nsecretalone\nnobody:hidden1\nu1:hidden2\nu1:hidden3\nu2:\nuser222: blanks \n")
	r := s.run("", "user", "set", "password", "--from", s.path("/list"))
	if r.status != 2 {
		t.Errorf("status %d", r.status)
	}
	for name, password := range map[string]string{"u0": "first:with colon", "u1": "hidden3", "u2": "old", "user222": " blanks ", "admin": "old"} {
		if hash := s.osField(name, 2); !opens(t, hash, password) || s.storePassword(name) != hash {
			t.Errorf("%s: %q, store %q", name, hash, s.storePassword(name))
		}
	}
	all := r.out + r.err
	for _, want := range []string{
		"Password for user `u0` set\n", "Password for user `u1` set\n", "Password for user `user222` set\n", "line 3: a line must be",
		"line 4: no application", "line 7: password empty", "6 accounts: 3 in sync, 3 failed", "warning: lines left out because a later line names the same account: 1\n",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is not in:\n%s", want, all)
		}
	}
	if regexp.MustCompile("secretalone|hidden|nobody").MatchString(all + s.must(0, "audit", "--json").out) {
		t.Errorf("a line is shown:\n%s", all)
	}
}

func TestListsForEveryVerb(t *testing.T) {
	s := newCrowd(t, 4)
	for verb, field := range map[string]string{"lock": "1", "unlock": "", "expire password": "", "reset password": ""} {
		r := s.run("u0\n u1 \n\nu3\n", append([]string{"user"}, append(strings.Fields(verb), "--from", "-")...)...)
		if r.status != 0 || s.osField("u0", 8) != field || s.osField("u2", 8) != "" || s.osField("u2", 3) != "19000" {
			t.Errorf("%s: status %d\n%s%s", verb, r.status, r.out, r.err)
		}
		s.must(0, "user", "unlock", "u0", "u1", "u3")
	}
}

func TestListsRefused(t *testing.T) {
	s := newCrowd(t, 1)
	for _, line := range [][]string{{"set", "password"}, {"set", "password", "u0", "--from", "-"}, {"set", "password", "--from", "-", "--stdin"}, {"lock"}, {"reset", "password"}} {
		s.must(2, append([]string{"user"}, line...)...)
	}
	s.must(1, "user", "lock", "--from", s.path("/nothing"))
	s.last("failed", "lock", "cannot read the list of accounts")
	s.write("/list", 0o644, "u0:x\n")
	if r := s.must(0, "user", "set", "password", "--from", s.path("/list")); !strings.Contains(r.err, "others may read") {
		t.Errorf("it says:\n%s", r.err)
	}
}

// list returns a password for each of n accounts.
func list(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "u%d:new-%d\n", i, i)
	}
	return b.String()
}

// holds reports whether an account has this password on the OS side.
func (s *system) holds(name, token string) bool {
	s.t.Helper()
	ok, err := crypt.Verify(s.osField(name, 2), []byte(token))
	if err != nil {
		s.t.Fatal(err)
	}
	return ok
}

// TestBulkInterrupted: after Ctrl-C each account has either its old or its new password, and the
// output says which.
func TestBulkInterrupted(t *testing.T) {
	const n = 300
	s := newCrowd(t, n)
	ctx, cancel := context.WithCancel(t.Context())
	in, typed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = typed.WriteString(list(n)); typed.Close() }()
	out := &cutter{after: 40, do: cancel}
	a := newApp(in, out, &bytes.Buffer{})
	a.batchTime = 10 * time.Millisecond
	root := newRoot(a)
	root.SetArgs([]string{"--root", s.root, "--json", "user", "set", "password", "--from", "-"})
	command, err := root.ExecuteContextC(ctx)
	if status := a.finish(ctx, command, err); status != 130 {
		t.Errorf("status %d: %v", status, err)
	}
	var told struct {
		Accounts []accountResult
		Summary  summary
	}
	result{out: out.text.String()}.object(t, &told)
	if told.Summary.InSync == 0 || told.Summary.NotReached == 0 || told.Summary.Accounts != n || len(told.Accounts) != n {
		t.Fatalf("%+v", told.Summary)
	}
	for i, r := range told.Accounts {
		want := map[shadowsync.ChangeState]string{shadowsync.InSync: fmt.Sprintf("new-%d", i), stateNotReached: "old"}[r.State]
		if want == "" || !s.holds(r.Name, want) {
			t.Errorf("%s is said to be %s", r.Name, r.State)
		}
	}
	s.must(0, "status", "--check")
	if r := s.run(list(n), "user", "set", "password", "--from", "-"); r.status != 0 || !s.holds("u299", "new-299") {
		t.Errorf("again: status %d\n%s", r.status, r.err)
	}
}

// cutter calls do once it has received this many lines, and again at each later write.
type cutter struct {
	text  bytes.Buffer
	after int
	do    func()
}

func (c *cutter) Write(p []byte) (int, error) {
	n, err := c.text.Write(p)
	if bytes.Count(c.text.Bytes(), []byte("\n")) >= c.after {
		c.do()
	}
	return n, err
}

// TestBulkKilled: after kill -9 at any moment and another run, each account has, on both sides, a
// printed password, its old one, or a new one that was never shown. No password is printed twice.
func TestBulkKilled(t *testing.T) {
	const n = 400
	s := newCrowd(t, n)
	seen, last := map[string]bool{}, map[string]string{}
	for i := range n {
		last[fmt.Sprintf("u%d", i)] = "old"
	}
	names := strings.Join(strings.Fields(regexp.MustCompile(`:\S*`).ReplaceAllString(list(n), "")), "\n")
	for _, after := range []time.Duration{60, 100, 140, 180, 250, 400, 20000} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "--root", s.root, "user", "reset", "password", "--from", "-")
		cmd.Env = append(os.Environ(), asTool+"=1")
		cmd.Stdin = strings.NewReader(names)
		var out bytes.Buffer
		cmd.Stdout = &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		kill := time.AfterFunc(after*time.Millisecond, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait() // most are killed
		kill.Stop()
		printed := map[string]bool{}
		for line := range strings.Lines(out.String()) {
			m := resetLine.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
			if m == nil {
				continue // truncated
			}
			if seen[m[2]] {
				t.Errorf("printed twice: %s", line)
			}
			seen[m[2]], printed[m[1]], last[m[1]] = true, true, m[2]
		}
		t.Logf("killed after %v: %d printed", after*time.Millisecond, len(printed))
		for name := range printed {
			if !s.holds(name, last[name]) {
				t.Errorf("%s does not have the password that was printed", name)
			}
		}
	}
	s.must(0, "status", "--check")
	for name, password := range last {
		if !s.holds(name, password) || s.storePassword(name) != s.osField(name, 2) {
			t.Errorf("%s: not the last password", name)
		}
	}
}
