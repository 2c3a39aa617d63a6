package engine

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// RequiredFile says whose second factors are required, and since when, in one line "admins TAB time". While
// it is there, the PAM module asks about everybody.
const RequiredFile = HomeDir + "/required"

// KeepRequired writes that file for a start of the broker at this time. The days to comply begin anew when
// more people must comply than before.
func (e *Engine) KeepRequired(now time.Time) error {
	required := e.Config.SecondFactor.Required
	if required == config.RequiredNobody {
		if err := inroot.Remove(e.root, RequiredFile); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	before, since := e.requiredSince()
	if since.IsZero() || before != required && required == config.RequiredEverybody {
		since = now
	}
	line := []byte(string(required) + "\t" + since.UTC().Format(time.RFC3339) + "\n")
	if inroot.Holds(e.root, RequiredFile, line) {
		return nil
	}
	return inroot.Replace(e.root, RequiredFile, line, 0o600)
}

// requiredSince reads that file; no time: it cannot be used.
func (e *Engine) requiredSince() (required config.Required, since time.Time) {
	text, _ := inroot.ReadFile(e.root, RequiredFile)
	who, when, _ := strings.Cut(strings.TrimSuffix(string(text), "\n"), "\t")
	since, err := time.Parse(time.RFC3339, when)
	if err != nil {
		return "", time.Time{}
	}
	return config.Required(who), since
}

// Duty is what second_factor.required asks of an account that has no second factor.
type Duty struct {
	Enrol bool      // it should enrol one
	Must  bool      // it does not get in before
	Until time.Time // when it must have one
}

// Duty returns that of an account: an administrator of pcli, or any that an application manages. The last
// administrator is not locked out: as long as no other one is enrolled, they get in.
func (e *Engine) Duty(ctx context.Context, account string, now time.Time) (Duty, error) {
	required := e.Config.SecondFactor.Required
	if required == config.RequiredNobody {
		return Duty{}, nil
	}
	_, managed := e.Config.Managing(account)
	administrator := e.Protect.Glance(ctx, account)[account].Administrator != ""
	if !administrator && (required == config.RequiredAdmins || !managed) {
		return Duty{}, nil
	}
	_, since := e.requiredSince()
	d := Duty{Enrol: true, Until: since.AddDate(0, 0, e.Config.SecondFactor.Days)}
	d.Must = !since.IsZero() && now.After(d.Until)
	if !d.Must || !administrator {
		return d, nil
	}
	var err error
	d.Must, err = e.otherAdministrator(ctx, account)
	return d, err
}

// otherAdministrator reports whether another administrator than this one has a second factor and may log
// in.
func (e *Engine) otherAdministrator(ctx context.Context, than string) (bool, error) {
	all, err := e.State.Factors(ctx)
	if err != nil {
		return false, err
	}
	var names []string
	for _, r := range all {
		if r.State == factor.Enrolled && r.Realm == factor.Local && r.Account != than {
			names = append(names, r.Account)
		}
	}
	os, err := e.Accounts.Read(ctx, names)
	if err != nil {
		return false, err
	}
	for name, standing := range e.Protect.Glance(ctx, names...) {
		account, there := os.Accounts[name]
		if standing.Administrator != "" && there && account.LetsIn(shadowsync.DayOf(time.Now())) {
			return true, nil
		}
	}
	return false, nil
}
