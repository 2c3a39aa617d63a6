package engine_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/engine/enginetest"
	"github.com/shadowsync/shadowsync/shadowsync"
)

const (
	ntFirst  = "0123456789ABCDEF0123456789ABCDEF"
	ntSecond = "FEDCBA9876543210FEDCBA9876543210"
	ntThird  = "00112233445566778899AABBCCDDEEFF"
)

// proves is a login that proves the store's present value, or another one for the store.
func proves(t *testing.T, s *enginetest.System, value string) {
	t.Helper()
	taken, err := s.Reconciler("app").Prove(t.Context(), "user", s.Present().Hash, value, shadowsync.Origin{SeenBy: shadowsync.SeenByPAM})
	if err != nil || !taken {
		t.Fatalf("the login: %v, %v", taken, err)
	}
	s.Settle()
	if o := s.OnRecord().Open; o != nil {
		t.Fatalf("it is %s: %s", o.State, o.Reason)
	}
}

// TestSealedAtRest: no file of the state shows a hash that opens the account, yet an old one that
// the application writes back is written over, and a change waits with its hash for a store that is away.
func TestSealedAtRest(t *testing.T) {
	s := enginetest.OpenNT(t)
	s.Held.Records["user"] = shadowsync.Credential{Hash: ntFirst}
	s.Settle()
	proves(t, s, ntFirst)
	s.Held.Err = enginetest.ErrGone
	s.Sets(enginetest.OtherHash)
	s.Settle()
	if _, err := s.Reconciler("app").Prove(t.Context(), "user", enginetest.OtherHash, ntSecond, shadowsync.Origin{SeenBy: shadowsync.SeenByPAM}); err != nil {
		t.Fatal(err)
	}
	s.Settle()
	if o := s.OnRecord().Open; o == nil || o.State != shadowsync.Pending {
		t.Fatalf("while the store is away: %+v", o)
	}
	showsNone(t, s)
	s.Held.Err = nil
	s.Settle()
	s.Holds(enginetest.OtherHash, ntSecond)
	s.Held.Records["user"] = shadowsync.Credential{Hash: ntFirst}
	s.Settle()
	s.Holds(enginetest.OtherHash, ntSecond)
	s.Settle() // its mark has what the store holds
	if report, err := s.Reconcile(t.Context(), "app", shadowsync.Request{}); err != nil || !report.Unchanged {
		t.Errorf("the mark is not known again: %+v, %v", report, err)
	}
	showsNone(t, s)
	if key, err := os.Stat(filepath.Join(s.Root(), engine.HomeDir, "store.key")); err != nil || key.Mode().Perm() != 0o600 || key.Size() != 32 {
		t.Errorf("the key: %v, %v", key, err)
	}
}

// showsNone looks into every file of ours for a value, or the digest by which the state knows it again.
func showsNone(t *testing.T, s *enginetest.System) {
	t.Helper()
	seen := 0
	err := filepath.WalkDir(filepath.Join(s.Root(), engine.HomeDir), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		seen++
		text, err := os.ReadFile(path)
		for _, value := range []string{ntFirst, ntSecond, ntThird} {
			digest := sha256.Sum256([]byte("password:" + value))
			for _, shown := range []string{value, hex.EncodeToString(digest[:8])} {
				if bytes.Contains(text, []byte(shown)) {
					t.Errorf("%s shows %s of %s", path, shown, value)
				}
			}
		}
		return err
	})
	if err != nil || seen < 2 {
		t.Errorf("looked at %d files: %v", seen, err)
	}
}

// TestSealedUnderALostKey: the pair is not known any more. Nothing that is sealed reaches the store, and the
// next login makes all well.
func TestSealedUnderALostKey(t *testing.T) {
	s := enginetest.OpenNT(t)
	s.Held.Records["user"] = shadowsync.Credential{Hash: ntFirst}
	s.Settle()
	proves(t, s, ntFirst)
	if err := os.Remove(filepath.Join(s.Root(), engine.HomeDir, "store.key")); err != nil {
		t.Fatal(err)
	}
	s.Settle()
	if o := s.OnRecord().Open; o == nil || o.State != shadowsync.Unproven {
		t.Fatalf("it is %+v", o)
	}
	s.Holds(enginetest.FormerHash, ntFirst)
	proves(t, s, ntFirst)
	s.Held.Records["user"] = shadowsync.Credential{Hash: ntThird}
	s.Settle()
	proves(t, s, ntThird)
	showsNone(t, s)
}

// TestSealedPast: a value from before the history's oldest entry, of which the state has a digest alone, is
// known again and written over.
func TestSealedPast(t *testing.T) {
	s := enginetest.OpenNT(t)
	s.Held.Records["user"] = shadowsync.Credential{Hash: ntFirst}
	s.Settle()
	proves(t, s, ntFirst)
	value := ""
	for i := range shadowsync.RecordEntries + 2 {
		value = fmt.Sprintf("%032X", i+1)
		s.Sets(fmt.Sprintf("$6$salt$hash%d", i))
		s.Settle()
		proves(t, s, value)
	}
	if n := len(s.OnRecord().Record); n != shadowsync.RecordEntries {
		t.Fatalf("the history has %d entries: it may still have the value, and this tests nothing", n)
	}
	s.Held.Records["user"] = shadowsync.Credential{Hash: ntFirst}
	s.Settle()
	s.Holds(s.Present().Hash, value)
	showsNone(t, s)
}

// TestBesideASealedStore: another store of the application is asked whether it holds what belongs to the OS's
// password, and what is on record of it is sealed.
func TestBesideASealedStore(t *testing.T) {
	s := enginetest.OpenBesideNT(t)
	s.Held.Records["user"] = shadowsync.Credential{Hash: s.Present().Hash}
	s.Further["radius"].Records["user"] = shadowsync.Credential{Hash: ntFirst}
	s.Settle()
	if taken, err := s.Reconciler("app.radius").Prove(t.Context(), "user", s.Present().Hash, ntFirst, shadowsync.Origin{SeenBy: shadowsync.SeenByPAM}); err != nil || !taken {
		t.Fatalf("the login: %v, %v", taken, err)
	}
	s.Settle()
	holds := func() bool { return s.Reconciler("app").Beside(t.Context(), "user", s.Present().Credential) }
	if !holds() {
		t.Error("its value does not count as the one on record")
	}
	s.Further["radius"].Records["user"] = shadowsync.Credential{Hash: ntSecond}
	if holds() {
		t.Error("another value counts as the one on record")
	}
}
