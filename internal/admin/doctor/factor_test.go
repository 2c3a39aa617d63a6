package doctor

import (
	"errors"
	"io/fs"
	"testing"

	"github.com/shadowsync/shadowsync/internal/factor"
)

// noKey is a key that is lost.
type noKey struct{}

func (noKey) Get() ([]byte, error) { return nil, &factor.KeyError{Path: "/key", Err: fs.ErrNotExist} }
func (noKey) Make() error          { return errors.New("not made") }
func (noKey) Path() string         { return "/key" }

func TestClockOfFactors(t *testing.T) {
	if v := assessDrift(true); v.state != Warn || v.command != "timedatectl set-ntp true" {
		t.Errorf("%+v", v)
	}
	if v := assessDrift(false); v.state != OK {
		t.Errorf("%+v", v)
	}
}

func TestFactorKey(t *testing.T) {
	sealed := factor.Record{Subject: factor.Subject{Realm: factor.Local, Account: "admin"}, State: factor.Enrolled, Secret: make([]byte, 48)}
	reset := factor.Record{Subject: factor.Subject{Realm: factor.Local, Account: "user222"}, State: factor.None}
	for name, tc := range map[string]struct {
		key     factor.Key
		records []factor.Record
		state   State
	}{
		"no factor":         {noKey{}, nil, OK},
		"no secret":         {noKey{}, []factor.Record{reset}, OK},
		"lost":              {noKey{}, []factor.Record{reset, sealed}, Fail},
		"no key in another": {factor.KeyFile{Root: t.TempDir(), Name: "/factor.key"}, []factor.Record{sealed}, Fail},
	} {
		t.Run(name, func(t *testing.T) {
			v := assessFactorKey(tc.key, tc.records)
			if v.state != tc.state || (v.state == Fail) != (v.command == "shadowsync user reset 2fa --all") {
				t.Errorf("%+v", v)
			}
		})
	}
	made := factor.KeyFile{Root: t.TempDir(), Name: "/factor.key"}
	if err := made.Make(); err != nil {
		t.Fatal(err)
	}
	if v := assessFactorKey(made, []factor.Record{sealed}); v.state != Fail || v.command != "shadowsync user reset 2fa local admin" {
		t.Errorf("another key: %+v", v)
	}
}
