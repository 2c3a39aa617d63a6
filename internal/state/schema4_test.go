package state

import (
	"context"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// The key of the state in schema4.db, the recovery code of admin that was used, and one that was not.
const (
	schema4Key    = "9badf5c9f54993dd8e9c153b51a04e6052dbd9d82196b32bb92d5b90b2d9a43e"
	schema4Used   = "jgmcxk-jeuyma-mxgvdr"
	schema4Unused = "wzacxe-petvym-jcwspa"
)

type keyOfTest string

func (k keyOfTest) Get() ([]byte, error) { return hex.DecodeString(string(k)) }
func (keyOfTest) Make() error            { return errors.New("there is one") }
func (keyOfTest) Path() string           { return "the test's key" }

type noBrake struct{}

func (noBrake) Begin(factor.Count, time.Time) time.Duration { return 0 }
func (noBrake) Spare(factor.Count)                          {}
func (noBrake) Forgive(factor.Count)                        {}
func (noBrake) Due(string, time.Time) (int, bool)           { return 0, true }

type listed struct{ *DB }

func (l listed) ChangeFactor(ctx context.Context, s factor.Subject, change func(factor.Record) (factor.Change, error)) error {
	return l.DB.ChangeFactor(ctx, s, change, unlisted)
}

// TestTheFourthSchemaReadsAsItWas opens what the shadowsync of 2026-11-29 wrote for a mounted system:
// admin is enrolled and has used a recovery code and a code of an app; user222 was enrolled and reset.
func TestTheFourthSchemaReadsAsItWas(t *testing.T) {
	db := written(t, 4)
	f := factor.Factors{Store: listed{db}, Key: keyOfTest(schema4Key), Brake: noBrake{}, Now: time.Now}
	admin, reset := factorIn(t, db, local("admin")), factorIn(t, db, local("user222"))
	if admin.State != factor.Enrolled || admin.RecoveryLeft() != 9 || admin.Step != 59864087 {
		t.Errorf("admin: %+v", admin)
	}
	if reset.State != factor.None || reset.Ticket == nil || !reset.Ticket.Valid("any", time.Hour) || reset.Mail != "user222@example.net" || reset.Generation != 2 {
		t.Errorf("user222: %+v", reset)
	}
	for code, want := range map[string]error{schema4Used: factor.ErrUsed, schema4Unused: nil} {
		if _, err := f.Check(t.Context(), factor.Attempt{Subject: local("admin"), Code: []byte(code)}); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", code, err, want)
		}
	}
	// The secret opens: only then recovery codes can be renewed.
	if _, err := f.Renew(t.Context(), local("admin"), shadowsync.Origin{}); err != nil {
		t.Error(err)
	}
	if n, err := db.Verify(t.Context()); n != 16 || err != nil {
		t.Errorf("%d records of the audit, %v", n, err)
	}
}
