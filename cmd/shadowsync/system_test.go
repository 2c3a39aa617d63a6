package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/password/crypt"
	"github.com/shadowsync/shadowsync/internal/password/crypt/format"
	"github.com/shadowsync/shadowsync/internal/password/proof"
	"github.com/shadowsync/shadowsync/internal/store/storeworker"
	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// TestMain lets the test binary act as the workers that the engine starts.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && (os.Args[1] == storeworker.Command.Name || os.Args[1] == proof.Command.Name) || os.Getenv(asTool) != "" {
		os.Unsetenv(asTool) // workers started by the tool must not inherit it
		main()
	}
	passphraseWork = 10
	os.Exit(m.Run())
}

// asTool in the environment makes the test binary act as the tool, for tests that kill it.
const asTool = "SHADOWSYNC_TEST_TOOL"

// system is a mounted system with an appliance that keeps its users in JSON.
type system struct {
	t    *testing.T
	root string
}

// storeOwner is an unprivileged user, so that the engine starts a real worker with this uid.
const storeOwner = 65534

// testConfig is the configuration of the test machine's appliance with a shorter path of the store.
var testConfig = strings.NewReplacer(machine.StorePath, "/srv/appliance/users.json", machine.StoreUsers, "/user").Replace(machine.Configuration)

// newSystem makes a system on which OS and store agree.
func newSystem(t *testing.T) *system {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root may work on a shadow file")
	}
	s := &system{t: t, root: t.TempDir()}
	if err := os.Chmod(filepath.Dir(s.root), 0o755); err != nil { // lets the store's owner reach the store
		t.Fatal(err)
	}
	old := s.hash("old")
	s.write("/etc/passwd", 0o644, "root:x:0:0::/root:/bin/sh\nadmin:x:1000:1000::/:\nuser222:x:1001:1001::/:\n")
	s.write("/etc/group", 0o644, "root:x:0:\n")
	s.write("/etc/shadow", 0o640, "root:*:19000:0:99999:7:::\nadmin:"+old+":19000:0:99999:7:::\nuser222:"+old+":19000:0:99999:7:::\n")
	s.write("/etc/login.defs", 0o644, "ENCRYPT_METHOD SHA256\nSHA_CRYPT_MAX_ROUNDS 1000\n")
	s.write("/etc/shadowsync/shadowsync.toml", 0o600, testConfig)
	s.write("/srv/appliance/users.json", 0o600, `{"user": [{"name": "admin", "password": "`+old+`"}, {"name": "user222", "password": "`+old+`"}]}`)
	for _, path := range []string{"/srv/appliance", "/srv/appliance/users.json"} {
		if err := os.Chown(s.path(path), storeOwner, storeOwner); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *system) path(name string) string { return filepath.Join(s.root, name) }

// ours returns one of our commands as it is shown for this system.
func (s *system) ours(command string) string { return "shadowsync --root " + s.root + " " + command }

func (s *system) write(name string, mode os.FileMode, text string) {
	s.t.Helper()
	if err := os.MkdirAll(filepath.Dir(s.path(name)), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(s.path(name), []byte(text), mode); err != nil {
		s.t.Fatal(err)
	}
}

func (s *system) hash(token string) string {
	s.t.Helper()
	hash, err := crypt.Method{Format: format.SHA256, Cost: 1000}.Generate([]byte(token))
	if err != nil {
		s.t.Fatal(err)
	}
	return hash
}

// usermod sets an account's OS hash as usermod -p does, without PAM.
func (s *system) usermod(name, hash string) {
	s.t.Helper()
	lines := strings.Split(s.read("/etc/shadow"), "\n")
	for i, line := range lines {
		if fields := strings.Split(line, ":"); fields[0] == name {
			fields[1] = hash
			lines[i] = strings.Join(fields, ":")
		}
	}
	s.write("/etc/shadow", 0o640, strings.Join(lines, "\n"))
}

func (s *system) read(name string) string {
	s.t.Helper()
	text, err := os.ReadFile(s.path(name))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// osField is a field of an account's line in shadow(5), counted from 1.
func (s *system) osField(name string, n int) string {
	s.t.Helper()
	for line := range strings.Lines(s.read("/etc/shadow")) {
		if fields := strings.Split(strings.TrimSpace(line), ":"); fields[0] == name {
			return fields[n-1]
		}
	}
	s.t.Fatalf("no line of %s", name)
	return ""
}

// storePassword is the appliance's value for an account.
func (s *system) storePassword(name string) string {
	s.t.Helper()
	var store struct {
		User []struct{ Name, Password string }
	}
	if err := json.Unmarshal([]byte(s.read("/srv/appliance/users.json")), &store); err != nil {
		s.t.Fatal(err)
	}
	for _, u := range store.User {
		if u.Name == name {
			return u.Password
		}
	}
	s.t.Fatalf("%s is not in the store", name)
	return ""
}

// setStore sets the appliance's value for an account, as the appliance does.
func (s *system) setStore(name, hash string) {
	s.t.Helper()
	text := s.read("/srv/appliance/users.json")
	s.write("/srv/appliance/users.json", 0o600, strings.ReplaceAll(text, `"name": "`+name+`", "password": "`+s.storePassword(name), `"name": "`+name+`", "password": "`+hash))
}

// result is the outcome of a command.
type result struct {
	status   int
	out, err string
}

// run runs a command line on the system, with the text as its standard input.
func (s *system) run(stdin string, line ...string) result {
	s.t.Helper()
	return execute(s.t, s.t.Context(), stdin, append([]string{"--root", s.root}, line...)...)
}

// must runs a command line and requires its exit status.
func (s *system) must(status int, line ...string) result {
	s.t.Helper()
	r := s.run("", line...)
	if r.status != status {
		s.t.Fatalf("%v: status %d, want %d\n%s%s", line, r.status, status, r.out, r.err)
	}
	return r
}

func execute(t *testing.T, ctx context.Context, stdin string, line ...string) result {
	t.Helper()
	in, typed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if _, err := typed.WriteString(stdin); err != nil {
		t.Fatal(err)
	}
	if err := typed.Close(); err != nil {
		t.Fatal(err)
	}
	var out, complaints bytes.Buffer
	a := newApp(in, &out, &complaints)
	a.tty = filepath.Join(t.TempDir(), "no-terminal")
	root := newRoot(a)
	root.SetArgs(line)
	command, err := root.ExecuteContextC(ctx)
	status := a.finish(ctx, command, err)
	return result{status, out.String(), complaints.String()}
}

func (r result) object(t *testing.T, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.out), into); err != nil {
		t.Fatalf("%v in:\n%s", err, r.out)
	}
}
