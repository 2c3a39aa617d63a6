package state

import (
	"testing"

	"github.com/shadowsync/shadowsync/internal/factor"
)

// TestTheSixthSchemaReadsAsItWas opens what the shadowsync of 2026-11-29 wrote on a machine: admin's
// password was set twice; user222 has a second factor, and a code is on its way by mail.
func TestTheSixthSchemaReadsAsItWas(t *testing.T) {
	db := written(t, 6)
	if admin := load(t, db, nil).Accounts["admin"]; admin.Baseline == nil || admin.Open != nil || len(admin.Record) != 2 {
		t.Errorf("admin is %+v", admin)
	}
	r := factorIn(t, db, local("user222"))
	if r.State != factor.Enrolled || r.Mail != "anna@example.net" || r.Mailed == nil || len(r.Mailed.Sealed) == 0 || r.Mailed.Wrong != 0 || len(r.Mailed.Next) != 0 {
		t.Errorf("user222 has %+v, mailed %+v", r, r.Mailed)
	}
}
