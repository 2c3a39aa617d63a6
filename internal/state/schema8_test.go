package state

import "testing"

// TestTheEighthSchemaReadsAsItWas opens the example of the seventh one after the shadowsync of 2026-11-30 has
// brought it up to date and noted user222's shell.
func TestTheEighthSchemaReadsAsItWas(t *testing.T) {
	db := written(t, 8)
	if admin := load(t, db, nil).Accounts["admin"]; admin.Baseline == nil || admin.Open != nil || len(admin.Record) != 2 {
		t.Errorf("admin is %+v", admin)
	}
	all, err := db.FormerShells(t.Context())
	if want := (FormerShell{"user222", 1001, "/bin/bash"}); err != nil || len(all) != 1 || all["user222"] != want {
		t.Errorf("the shells are %+v, %v", all, err)
	}
	if err := db.NoteShell(t.Context(), FormerShell{"user222", 1002, "/bin/sh"}); err != nil {
		t.Fatal(err)
	}
	if all, err := db.FormerShells(t.Context()); err != nil || all["user222"].UID != 1002 || all["user222"].Shell != "/bin/sh" {
		t.Errorf("after another note the shells are %+v, %v", all, err)
	}
}
