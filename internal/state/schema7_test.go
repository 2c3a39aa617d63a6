package state

import (
	"testing"

	"github.com/shadowsync/shadowsync/internal/factor"
)

// TestTheSeventhSchemaReadsAsItWas opens the example of the sixth one after the shadowsync of 2026-11-29 has
// brought it up to date, noted user222's uid and a place of its codes, and written the list.
func TestTheSeventhSchemaReadsAsItWas(t *testing.T) {
	db := written(t, 7)
	if admin := load(t, db, nil).Accounts["admin"]; admin.Baseline == nil || admin.Open != nil || len(admin.Record) != 2 {
		t.Errorf("admin is %+v", admin)
	}
	all, err := db.FactorsOfUID(t.Context(), 1001)
	if err != nil || len(all) != 1 || all[0].Subject != local("user222") || all[0].Mailed == nil || len(all[0].Places) != 1 || all[0].Places[0].Name != "192.0.2.7" {
		t.Errorf("of uid 1001: %+v, %v", all, err)
	}
	if err := db.ListFactors(t.Context(), func(_ []factor.Record, known bool) error {
		if !known {
			t.Error("it does not know that it has written the list")
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}
