package bulk

import (
	"errors"
	"testing"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// TestResetWish: a generated password expires after the shortest of what applies, unless its
// maximum is asked for, and can always be changed before.
func TestResetWish(t *testing.T) {
	yes := true
	for name, c := range map[string]struct {
		reset    Reset
		rules    config.Password
		had      shadowsync.Credential
		min, max shadowsync.Day
	}{
		"the default":             {Reset{}, config.Password{ExpiryDays: 760}, shadowsync.NoAgeing(), shadowsync.NoDay, 760},
		"the rule is shorter":     {Reset{}, config.Password{ExpiryDays: 760, MaxDays: 90}, shadowsync.NoAgeing(), shadowsync.NoDay, 90},
		"the account's is":        {Reset{}, config.Password{ExpiryDays: 760, MaxDays: 90}, shadowsync.Credential{Max: 30}, 0, 30},
		"asked for":               {Reset{Expiry: 400}, config.Password{ExpiryDays: 760, MaxDays: 90}, shadowsync.Credential{Max: 30}, 0, 400},
		"shorter than the lowest": {Reset{Expiry: 2}, config.Password{ExpiryDays: 760}, shadowsync.Credential{Min: 3, Max: 30}, 2, 2},
		"must change":             {Reset{MustChange: &yes}, config.Password{ExpiryDays: 760}, shadowsync.NoAgeing(), shadowsync.NoDay, 760},
	} {
		t.Run(name, func(t *testing.T) {
			c.had.Locked = true
			w, err := ResetPassword(c.reset, c.rules).Wish(Person{Account: shadowsync.Account{Credential: c.had}, Hash: "$6$new"})
			if err != nil || w.Hash != "$6$new" || w.Min != c.min || w.Max != c.max || !w.Locked {
				t.Errorf("%v: %+v", err, w.Credential)
			}
			last := today()
			if c.reset.MustChange != nil {
				last = shadowsync.NoDay
			}
			if w.LastChange != last || w.MustChange != (c.reset.MustChange != nil) || w.Fields&shadowsync.FieldLocked != 0 {
				t.Errorf("changed on %v, must change %v, fields %b", w.LastChange, w.MustChange, w.Fields)
			}
		})
	}
}

// TestUnlockWish: an account gets its expiry of before the lock back, and one without a password is
// let in only for its keys.
func TestUnlockWish(t *testing.T) {
	ahead := today() + 30
	expiring := func(d shadowsync.Day) shadowsync.Baseline {
		return shadowsync.Baseline{OS: shadowsync.Credential{Expire: d}}
	}
	for name, c := range map[string]struct {
		hash   string
		only   bool
		memory shadowsync.AccountMemory
		expire shadowsync.Day
		err    error
	}{
		"nothing on record": {"$6$x", false, shadowsync.AccountMemory{}, shadowsync.NoDay, nil},
		"on record": {
			"$6$x", false, shadowsync.AccountMemory{Record: shadowsync.Record{{Baseline: expiring(3)}, {Baseline: expiring(ahead)}}}, ahead, nil,
		},
		"the password only": {"$6$x", true, shadowsync.AccountMemory{}, shadowsync.LockedExpiry, nil},
		"for its keys":      {"*", false, shadowsync.AccountMemory{}, shadowsync.NoDay, nil},
		"keys, and only":    {"*", true, shadowsync.AccountMemory{}, 0, ErrNoPassword},
		"open to everybody": {"", false, shadowsync.AccountMemory{}, 0, ErrNoPassword},
	} {
		t.Run(name, func(t *testing.T) {
			had := shadowsync.NoAgeing()
			had.Hash, had.Locked, had.Expire = c.hash, true, shadowsync.LockedExpiry
			w, err := Unlock(c.only).Wish(Person{Account: shadowsync.Account{Name: "user", Credential: had}, Memory: c.memory})
			if !errors.Is(err, c.err) || err == nil && (w.Locked || w.Expire != c.expire) {
				t.Errorf("%v: %+v", err, w.Credential)
			}
		})
	}
}

// TestRestoreWish: an entry is put back as a new change, with the store's own hash where it has one.
func TestRestoreWish(t *testing.T) {
	entry := shadowsync.Entry{Baseline: shadowsync.Baseline{OS: shadowsync.Credential{Hash: "$y$os", MustChange: true}, Store: shadowsync.Credential{Hash: "$6$store"}}}
	p := Person{Account: shadowsync.Account{Name: "user"}, History: []engine.Kept{{Holder: config.Application{Name: "app.cache"}, Entry: entry}, {}}}
	w, err := RestoreCredential(1).Wish(p)
	if err != nil || w.Hash != "$y$os" || w.StoreHash != "$6$store" || w.Holder != "app.cache" || w.LastChange != today() || w.MustChange {
		t.Errorf("%v: %+v", err, w)
	}
	if _, err := RestoreCredential(2).Wish(p); !errors.Is(err, ErrNoPassword) {
		t.Errorf("an entry without a password: %v", err)
	}
	var none *NoEntryError
	if _, err := RestoreCredential(3).Wish(p); !errors.As(err, &none) || none.Has != 2 {
		t.Errorf("an entry that is not there: %v", err)
	}
}
