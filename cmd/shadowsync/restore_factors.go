package main

import (
	"time"

	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/state/backup"
)

// restoredFactor is a second factor in the --json output of restore.
type restoredFactor struct {
	Name   string        `json:"name"`
	Realm  factor.Realm  `json:"realm"`
	State  factor.State  `json:"second_factor"`
	From   factor.Source `json:"from"`
	Opened bool          `json:"opened"` // false: no key opens it
}

func restoredFactors(all []factor.Merged) (list []restoredFactor) {
	for _, m := range all {
		if m.Asked() || m.State != factor.None {
			list = append(list, restoredFactor{m.Account, m.Realm, m.State, m.From, m.Opened})
		}
	}
	return list
}

// showFactors says which second factors are as old as the backup, and which no key opens.
func (r *restore) showFactors(content *backup.Content, done backup.Swapped) {
	if done.Key {
		r.app.tell("the key of the second factors is put back")
	}
	var old, closed []string
	for _, f := range restoredFactors(done.Factors) {
		if f.From == factor.FromBackup {
			old = append(old, f.Name)
		}
		if !f.Opened {
			closed = append(closed, f.Name)
		}
	}
	if len(old) > 0 {
		r.app.tell("the second factors of %s are as of %s, when the backup was made: a code used or a factor reset since then is valid again",
			listed(old), content.Created.Local().Format(time.DateTime))
	}
	if len(closed) > 0 {
		r.app.warn("no key opens the second factors of %s: their recovery codes work, codes of an authenticator do not; shadowsync user reset 2fa mends that", listed(closed))
	}
}
