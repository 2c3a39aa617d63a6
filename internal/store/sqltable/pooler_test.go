package sqltable

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/shadowsync/shadowsync/internal/store/sqldb"
	"github.com/shadowsync/shadowsync/internal/store/sqldb/sqltest"
	"github.com/shadowsync/shadowsync/internal/test/eventually"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// pooled starts pgbouncer in front of the test's PostgreSQL, in transaction mode, and returns a DSN through it.
func pooled(t *testing.T, server *sqltest.Server, settings string) (dsn string) {
	t.Helper()
	program, err := exec.LookPath("/usr/sbin/pgbouncer")
	if err != nil {
		t.Skip("the machine has no pgbouncer")
	}
	folder := filepath.Dir(server.Log())
	_, port, _ := strings.Cut(strings.TrimSuffix(server.DSN, "/app"), "127.0.0.1:")
	config := filepath.Join(folder, "pgbouncer.ini")
	text := fmt.Sprintf("[databases]\napp = host=%[1]s port=%[2]s user=shadowsync\n[pgbouncer]\nunix_socket_dir = %[1]s\nlisten_port = 6432\nlisten_addr =\nauth_type = any\npool_mode = transaction\n%[3]s\n", folder, port, settings)
	owner, err := os.Stat(folder)
	if err == nil {
		err = os.WriteFile(config, []byte(text), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, config)
	if of := owner.Sys().(*syscall.Stat_t); os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: of.Uid, Gid: of.Gid}}
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Signal(syscall.SIGINT); _ = cmd.Wait() })
	eventually.Holds(t, "pgbouncer listens", func() bool { _, err := os.Stat(filepath.Join(folder, ".s.PGSQL.6432")); return err == nil })
	return "postgres://shadowsync@:6432/app?host=" + folder
}

func TestThroughAPooler(t *testing.T) {
	everywhere(t, "auth_user", "username", "password", func(t *testing.T, p *place) {
		if p.dialect != sqldb.PostgreSQL {
			t.Skip("pgbouncer is for PostgreSQL")
		}
		p.insert(t, "alice", "$6$a")
		p.options.Secret = nil
		t.Run("as it is", func(t *testing.T) {
			s := p.with(map[string]any{"dsn": pooled(t, sqltest.PostgreSQL(t), "")}).open(t)
			_, err := s.Read(t.Context(), []string{"alice"})
			if !errors.Is(err, shadowsync.ErrMalformed) || !strings.Contains(fmt.Sprint(err), "startup parameter") {
				t.Errorf("%v", err)
			}
		})
		t.Run("told to let our settings be", func(t *testing.T) {
			dsn := pooled(t, sqltest.PostgreSQL(t), "ignore_startup_parameters = lock_timeout, statement_timeout, idle_in_transaction_session_timeout")
			stores := []*Store{p.with(map[string]any{"dsn": dsn}).open(t), p.with(map[string]any{"dsn": dsn}).open(t)}
			for i, from := range []string{"$6$a", "$6$b", "$6$c", "$6$d"} {
				s := stores[i%2]
				if err := writeOne(t.Context(), s, from, "$6$"+string(rune('b'+i))); err != nil {
					t.Error(err)
				}
				if _, err := s.Read(t.Context(), []string{"alice"}); err != nil {
					t.Error(err)
				}
			}
		})
	})
}
