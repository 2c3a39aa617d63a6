package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// takenEvents bounds how many audit records are taken over from one copy.
const takenEvents = 10000

// learned is what a volatile copy of a state knows.
type learned struct {
	memories map[string]shadowsync.Memory // by application
	events   []shadowsync.Event           // recorded since it was copied
}

// TakeBack records what the volatile copies below held know and this state does not, and removes
// them: which values the accounts had meanwhile, which the application may remember, and the audit
// records. If that cannot be recorded, the copies stay.
func (db *DB) TakeBack(ctx context.Context, root, held string) error {
	if _, err := inroot.Lstat(root, held); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := db.takeOthers(ctx, root, held, ""); err != nil {
		return err
	}
	return inroot.RemoveAll(root, held)
}

// takeOthers does the same for all copies but the one in the folder mine.
func (db *DB) takeOthers(ctx context.Context, root, held, mine string) error {
	copies, err := inroot.ReadDir(root, held)
	if err != nil {
		return err
	}
	for _, c := range copies {
		in := filepath.Join(held, c.Name)
		if in == mine {
			continue
		}
		if err := db.take(ctx, root, in); err != nil {
			return err
		}
	}
	return nil
}

// take takes over one copy and removes it. A process that works on it waits, and then learns that
// its file is gone. Of a copy that cannot be read nothing is taken over.
func (db *DB) take(ctx context.Context, root, in string) error {
	remove := func() error { return inroot.RemoveAll(root, in) }
	if _, err := inroot.Lstat(root, filepath.Join(in, FileName)); err != nil {
		return remove()
	}
	file, err := OpenIn(ctx, root, in)
	if errors.Is(err, shadowsync.ErrMalformed) {
		return remove()
	}
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // it is removed
	var cannot error
	err = file.write(ctx, "take over", func(tx *tx) error {
		l, err := tx.learned(copiedAt(in))
		if err != nil {
			return err
		}
		if cannot = db.learn(ctx, l); cannot == nil {
			cannot = remove()
		}
		return nil
	})
	switch {
	case cannot != nil:
		return cannot
	case errors.Is(err, shadowsync.ErrMalformed):
		return remove()
	case errors.Is(err, ErrReplaced): // removed, by us or by another process that took it over
		return nil
	}
	return err
}

// copiedAt is the last record of the state's trail when the copy in that folder was made: see
// original.
func copiedAt(in string) (seq int64) {
	_, _ = fmt.Sscanf(filepath.Base(in), "%d-", &seq) // 0 if the state could not be read
	return seq
}

func (t *tx) learned(since int64) (learned, error) {
	found := learned{memories: map[string]shadowsync.Memory{}}
	applications, err := t.applications()
	if err != nil {
		return found, err
	}
	for _, name := range applications {
		if found.memories[name], err = t.everythingOf(name); err != nil {
			return found, err
		}
	}
	var text string
	err = t.each("SELECT event FROM audit WHERE seq > ? ORDER BY seq LIMIT ?", []any{since, takenEvents}, []any{&text}, func() error {
		var e shadowsync.Event
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			return fmt.Errorf("%w: %w", shadowsync.ErrMalformed, err)
		}
		found.events = append(found.events, e)
		return nil
	})
	return found, err
}

func (t *tx) everythingOf(application string) (shadowsync.Memory, error) {
	l := newLoader(application)
	l.tx = t
	err := l.everything(nil, (*loader).load)
	return l.memory, err
}

// learn records what a copy knows. Baselines and open changes stay: the next reconcile compares both
// sides itself, and the PAM module's notes are still there.
func (db *DB) learn(ctx context.Context, l learned) error {
	return db.write(ctx, "record in", func(tx *tx) error {
		for application, there := range l.memories {
			here, err := tx.everythingOf(application)
			if err != nil {
				return err
			}
			for name, m := range there.Accounts {
				if err := tx.learnAccount(application, name, here.Accounts[name], m); err != nil {
					return err
				}
			}
		}
		return tx.audit(l.events...)
	})
}

func (t *tx) learnAccount(application, account string, here, there shadowsync.AccountMemory) error {
	past := there.Past
	if there.Baseline != nil && (here.Baseline == nil || *here.Baseline != *there.Baseline) {
		past = append(shadowsync.PastOf(*there.Baseline), past...)
	}
	unknown := func(digest string) bool { return !slices.Contains(here.Past, digest) }
	if slices.ContainsFunc(past, unknown) {
		if err := t.addPast(application, account, past); err != nil {
			return err
		}
	}
	for _, e := range slices.Backward(there.Record) { // the oldest first
		known := func(k shadowsync.Entry) bool { return k.Baseline == e.Baseline && k.Lost == e.Lost }
		if slices.ContainsFunc(here.Record, known) {
			continue
		}
		if err := t.addEntry(application, account, e); err != nil {
			return err
		}
	}
	return nil
}
