package storeworker

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/store"
	"github.com/shadowsync/shadowsync/internal/store/sqldb/sqltest"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// inServer makes a table with alice in a server, and the options to reach it.
func inServer(t *testing.T) store.Options {
	t.Helper()
	server := sqltest.PostgreSQL(t)
	server.Exec(t, "DROP TABLE IF EXISTS users", "CREATE TABLE users (login text PRIMARY KEY, hash text)", "INSERT INTO users VALUES ('alice@site', '$6$a')",
		"GRANT SELECT (login, hash), UPDATE (hash) ON users TO shadowsync")
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(sqltest.Secret+"\nnot this\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o, err := store.Parse(map[string]any{
		"driver": "sql", "dsn": server.DSN, "table": "users", "name": "login", "password": "hash", "password_file": secret, "as": "{name}@site",
	})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// TestNetworkWorker: a worker that has nothing but its server, and the password for it nowhere but in its
// memory.
func TestNetworkWorker(t *testing.T) {
	s, err := Open(t.Context(), inServer(t))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	left, err := s.Write(t.Context(), []shadowsync.Write{{Name: "alice", Expect: shadowsync.Credential{Hash: "$6$a"}, Want: shadowsync.Credential{Hash: "$6$b"}}})
	if err != nil || len(left) > 0 {
		t.Fatal(left, err)
	}
	if got, err := s.Read(t.Context(), []string{"alice"}); err != nil || got.Accounts["alice"].Hash != "$6$b" {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := s.Revision(t.Context()); !errors.Is(err, shadowsync.ErrNoRevision) {
		t.Errorf("revision: %v", err)
	}
	if _, err := s.Watch(t.Context()); !errors.Is(err, shadowsync.ErrNoWatch) {
		t.Errorf("watch: %v", err)
	}
	proc := fmt.Sprintf("/proc/%d/", workerOf(t, s.(*Client)))
	want := []string{"NoNewPrivs:\t1"}
	if os.Getuid() == 0 {
		want = append(want, "Uid:\t65534\t65534\t65534\t65534", "Groups:\t \n", "CapEff:\t0000000000000000", "CapPrm:\t0000000000000000")
	}
	status, err := os.ReadFile(proc + "status")
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range want {
		if !strings.Contains(string(status), w) {
			t.Errorf("%q is not in\n%s", w, status)
		}
	}
	for _, file := range []string{"environ", "cmdline"} {
		if text, err := os.ReadFile(proc + file); os.Getuid() == 0 && (err != nil || strings.Contains(string(text), sqltest.Secret)) {
			t.Errorf("%s: %q, %v", file, text, err)
		}
	}
}

func TestEquip(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(path string) error
		says  string
	}{
		{"readable by others", func(path string) error { return os.Chmod(path, 0o644) }, "can be read by others than root"},
		{"missing", os.Remove, "no such file"},
		{"a folder", func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) }, "cannot use password_file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := inServer(t)
			if err := tt.spoil(o.Text("password_file")); err != nil {
				t.Fatal(err)
			}
			_, err := Open(t.Context(), o)
			if !errors.Is(err, shadowsync.ErrUnavailable) || !strings.Contains(fmt.Sprint(err), tt.says) {
				t.Errorf("%v", err)
			}
		})
	}
}
