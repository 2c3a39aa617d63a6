package storetest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// capabilities: what an open store can hold is what its driver says.
func capabilities(s *stage) {
	of := s.store.Capabilities()
	if of.Fields&shadowsync.FieldHash == 0 || of.Fields&^s.f.Driver.Fields != 0 {
		s.Errorf("fields %v; the driver's are %v", of.Fields, s.f.Driver.Fields)
	}
	if of.Opaque() && of.Fields != shadowsync.FieldHash {
		s.Errorf("the scheme %s with the fields %v; want the hash alone", of.Scheme, of.Fields)
	}
	if of.Opaque() && !slices.Contains(s.f.Driver.Traits.Schemes, of.Scheme) {
		s.Errorf("the scheme %s; the driver's are %v", of.Scheme, s.f.Driver.Traits.Schemes)
	}
	if of.Creates != s.f.Driver.Traits.Creates {
		s.Errorf("creates: %v; the driver says %v", of.Creates, s.f.Driver.Traits.Creates)
	}
	if s.f.Driver.Traits.Doc == "" {
		s.Error("the driver does not say what its stores are")
	}
}

// reads: those accounts come that were asked for and are there, each as the application has it.
func reads(s *stage) {
	s.untouched()
	got := s.read("admin", "nobody", "admin")
	if names := slices.Collect(maps.Keys(got.Accounts)); len(names) != 1 || names[0] != "admin" || len(got.Malformed) > 0 {
		s.Errorf("asked for admin and nobody, read %v, malformed %v", names, got.Malformed)
	}
	if none := s.read(); len(none.Accounts) != 0 {
		s.Errorf("asked for nobody, read %v", none.Accounts)
	}
}

// revision: it moves with the content and stays while nothing happens, or there is none.
func revision(s *stage) {
	first, err := s.store.Revision(s.Context())
	if errors.Is(err, shadowsync.ErrNoRevision) {
		if got := s.read("admin").Revision; got != "" {
			s.Errorf("Revision knows none, and Read says %q", got)
		}
		return
	}
	if err != nil || first == "" || s.read("admin").Revision != first {
		s.Errorf("Revision says %q, %v; Read says %q", first, err, s.read("admin").Revision)
	}
	if again, err := s.store.Revision(s.Context()); err != nil || again != first {
		s.Errorf("nothing happened, and %q became %q, %v", first, again, err)
	}
	s.Set("admin", s.f.Value(3))
	second, err := s.store.Revision(s.Context())
	if err != nil || second == first {
		s.Errorf("the application wrote, and it stays %q, %v", second, err)
	}
	if left := s.write(s.moves("admin", 3, 4)); len(left) > 0 {
		s.Fatal(left)
	}
	if third, err := s.store.Revision(s.Context()); err != nil || third == second || third == first {
		s.Errorf("the driver wrote, and it is %q after %q, %v", third, second, err)
	}
}

// watch: a change of the application's is announced, and the channel closes with its context.
func watch(s *stage) {
	ctx, cancel := context.WithCancel(s.Context())
	defer cancel()
	changed, err := s.store.Watch(ctx)
	if s.f.Driver.Traits.Polled {
		if !errors.Is(err, shadowsync.ErrNoWatch) {
			s.Errorf("the driver says that it is polled, and Watch says %v", err)
		}
		return
	}
	if err != nil {
		s.Fatalf("Watch: %v", err)
	}
	s.Set("admin", s.f.Value(3))
	if !s.receive(changed) {
		s.Error("a change of the application's was not announced")
	}
	cancel()
	for s.receive(changed) {
	}
}

// receive reports whether something came; a closed channel sends nothing.
func (s *stage) receive(changed <-chan struct{}) bool {
	s.Helper()
	select {
	case _, open := <-changed:
		return open
	case <-time.After(patience):
		s.Fatal("nothing came, and the channel did not close")
	}
	return false
}
