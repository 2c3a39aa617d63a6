package state

import (
	"testing"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// TestTheFifthSchemaReadsAsItWas opens what the shadowsync of 2026-11-29 wrote on a machine: the
// state took the place of a damaged one while the application ran. Then admin's password was set
// twice and user222's once; user222 was locked, and admin's last change waits for its store.
func TestTheFifthSchemaReadsAsItWas(t *testing.T) {
	db := written(t, 5)
	memory := load(t, db, nil)
	if !memory.PastUnknown {
		t.Error("what the application remembers counts as known")
	}
	admin, user := memory.Accounts["admin"], memory.Accounts["user222"]
	if admin.Open == nil || admin.Open.State != shadowsync.Pending || len(admin.Record) != 2 || !admin.Guards() {
		t.Errorf("admin is %+v", admin)
	}
	if user.Baseline == nil || !user.Baseline.OS.Locked || user.Open != nil {
		t.Errorf("user222 is %+v", user)
	}
	if err := db.SetStarting(t.Context(), application); err != nil || load(t, db, nil).PastUnknown {
		t.Errorf("the application starts, and what it remembers is still unknown (%v)", err)
	}
}
