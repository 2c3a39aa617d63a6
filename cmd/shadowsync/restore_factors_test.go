package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/factor/totp"
)

const keyFile = "/var/lib/shadowsync/factor.key"

// later is a code of the authenticator that was not used at the enrolment.
func later(secret []byte) string { return string(totp.Code(secret, totp.StepAt(time.Now())+1)) }

// restored restores a backup and returns the factors that hold then, by account.
func (s *system) restored(file string) (r backupResult, factors map[string]restoredFactor) {
	s.t.Helper()
	out := s.run("secret phrase\n", "restore", file, "--stdin", "--json", "--prefer", "os")
	if out.status != 0 {
		s.t.Fatalf("status %d\n%s%s", out.status, out.out, out.err)
	}
	out.object(s.t, &r)
	factors = map[string]restoredFactor{}
	for _, f := range r.Factors {
		factors[f.Name] = f
	}
	return r, factors
}

// TestABackupCarriesTheKey: to another machine, whatever that has itself, and here after a loss.
func TestABackupCarriesTheKey(t *testing.T) {
	old := newStock(t, "backed up")
	secret, recovery := old.enrolled("admin")
	r := old.run("secret phrase\n", "backup", old.path("/first"), "--stdin")
	if r.status != 0 || !strings.Contains(r.out, " and the key of the second factors sealed in ") {
		t.Fatalf("status %d, it says %s%s", r.status, r.out, r.err)
	}
	t.Run("a new machine", func(t *testing.T) {
		fresh := newStock(t, "fresh")
		file := carry(t, old, fresh)
		said := fresh.run("secret phrase\n", "restore", file, "--stdin", "--prefer", "os")
		for _, want := range []string{"the key of the second factors is put back", "the second factors of admin are as of ", "is valid again"} {
			if said.status != 0 || !strings.Contains(strings.Join(strings.Fields(said.out), " "), want) {
				t.Errorf("status %d, it does not say %q:\n%s", said.status, want, said.out+said.err)
			}
		}
		if r := fresh.check("admin", later(secret)); r.status != 0 {
			t.Errorf("a code: status %d, %s", r.status, r.err)
		}
		if fresh.read(keyFile) != old.read(keyFile) {
			t.Error("the key is another one")
		}
	})
	t.Run("a machine with factors of its own", func(t *testing.T) {
		fresh := newStock(t, "fresh")
		own, _ := fresh.enrolled("user222")
		key := fresh.read(keyFile)
		result, factors := fresh.restored(carry(t, old, fresh))
		if result.FactorKey || factors["admin"].From != factor.FromBackup || factors["user222"].From != factor.FromLive || !factors["admin"].Opened {
			t.Errorf("%+v", result)
		}
		if fresh.read(keyFile) != key {
			t.Error("the key was replaced")
		}
		for name, s := range map[string][]byte{"admin": secret, "user222": own} {
			if r := fresh.check(name, later(s)); r.status != 0 {
				t.Errorf("%s: status %d, %s", name, r.status, r.err)
			}
		}
	})
	for name, spoil := range map[string]func() error{
		"lost here":    func() error { return os.Remove(old.path(keyFile)) },
		"damaged here": func() error { return os.WriteFile(old.path(keyFile), []byte("short"), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			key := old.read(keyFile)
			if err := spoil(); err != nil {
				t.Fatal(err)
			}
			result, factors := old.restored(old.path("/first"))
			if !result.FactorKey || factors["admin"].From != factor.FromBoth || !factors["admin"].Opened || old.read(keyFile) != key {
				t.Errorf("%+v", result)
			}
		})
	}
	if r := old.check("admin", recovery[0]); r.status != 0 {
		t.Fatalf("a recovery code: status %d, %s", r.status, r.err)
	}
	old.restored(old.path("/first"))
	if r := old.check("admin", recovery[0]); r.status != 7 {
		t.Errorf("the used code after a restore: status %d, %s", r.status, r.err)
	}
	old.must(0, "user", "reset", "2fa", "local", "admin")
	if _, factors := old.restored(old.path("/first")); factors["admin"].State != factor.None || factors["admin"].From != factor.FromLive {
		t.Errorf("the factor that was reset is back: %+v", factors["admin"])
	}
}
