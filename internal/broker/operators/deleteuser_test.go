package operators

import (
	"testing"

	"github.com/shadowsync/shadowsync/internal/engine/enginetest"
)

// A new account with a deleted account's name, and with the same uid from useradd(8), belongs to
// another person: it gets none of the former account's history.
func TestNextOfTheName(t *testing.T) {
	f := openOffice(t, "")
	f.Sets(enginetest.OtherHash)
	f.Settle()
	if len(f.OnRecord().Record) == 0 {
		t.Fatal("the former person has no history")
	}
	f.Write("passwd", "root:x:0:0::/:/bin/sh\n")
	f.Write("shadow", "root:*:20000::::::\n")
	if err := f.operators.departed(t.Context(), f.call, "app", "user"); err != nil {
		t.Fatal(err)
	}
	if got := f.Held.Records["user"].Hash; got != enginetest.OtherHash {
		t.Errorf("the store's record was changed to %q", got)
	}
	delete(f.Held.Records, "user")
	f.Write("passwd", "user:x:1000:1000::/:/bin/sh\n")
	f.Sets(enginetest.RootsHash)
	if err := f.operators.importAs(t.Context(), f.Engine, "user", "app"); err != nil {
		t.Fatal(err)
	}
	m := f.OnRecord()
	for _, e := range m.Record {
		t.Errorf("the next one's history has %q", e.OS.Hash)
	}
	if m.Baseline == nil || m.Baseline.OS.Hash != enginetest.RootsHash {
		t.Errorf("the next one's baseline is %+v", m.Baseline)
	}
}
