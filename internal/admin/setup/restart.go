package setup

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/shadowsync/shadowsync/internal/account/shadowfile"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/detect/origin"
	"github.com/shadowsync/shadowsync/internal/detect/watch"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/internal/store"
	"github.com/shadowsync/shadowsync/internal/store/sqlite"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/systemd"
)

const (
	startPace = 50 * time.Millisecond
	// startCalm is how long to wait for more after the application's last write.
	startCalm = 2 * time.Second
	// usesKept limits the recorded reads, and likewise the writes.
	usesKept = 4096
)

// WrongStoreError: at a watched start, the application set the OS accounts from another source than
// the configured store.
type WrongStoreError struct{ Unit, Store, What, Config string }

func (e *WrongStoreError) Error() string {
	return fmt.Sprintf("cannot keep passwords of %s: %s. It does not keep its passwords in %s, and each of its starts undoes a new one", e.Unit, e.What, e.Store)
}

// StartError: the watched start showed nothing.
type StartError struct {
	Unit string
	Why  string
	Err  error
}

func (e *StartError) Error() string {
	return fmt.Sprintf("cannot watch a start of %s: %s", e.Unit, e.Why)
}
func (e *StartError) Unwrap() error { return e.Err }

// start is what was observed of one start of an application.
type start struct {
	store  string // path of the store's file
	values map[string]string

	mu     sync.Mutex
	reads  []time.Time // of the store's file, by processes of the unit
	writes []time.Time // of /etc/shadow, likewise
	lost   int         // reads by processes that ended before they could be identified
}

// read and wrote record an access. A process that has ended has no unit any more.
func (s *start) read(unit string, pid int, name string) {
	if name != filepath.Base(s.store) {
		return
	}
	p := origin.FromPID(pid)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case p.Unit == unit && len(s.reads) < usesKept:
		s.reads = append(s.reads, time.Now())
	case p.Cgroup == "":
		s.lost++
	}
}

func (s *start) wrote(unit string, w watch.Write) {
	if !strings.HasPrefix(w.Name(), "shadow") || origin.FromPID(w.PID).Unit != unit {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.writes) < usesKept {
		s.writes = append(s.writes, time.Now())
	}
}

// since returns when the application first read its store and last wrote after it had stopped; zero
// means never. Accesses while it stopped do not count.
func (s *start) since(ended time.Time) (read, wrote time.Time, lost bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := func(at time.Time) bool { return at.Before(ended) }
	if reads := slices.DeleteFunc(slices.Clone(s.reads), before); len(reads) > 0 {
		read = reads[0]
	}
	if writes := slices.DeleteFunc(slices.Clone(s.writes), before); len(writes) > 0 {
		wrote = writes[len(writes)-1]
	}
	return read, wrote, s.lost > 0
}

// restarts restarts each application and reports whether its start shows that it keeps passwords,
// or that it does not.
func (j *job) restarts(ctx context.Context, db *state.DB) error {
	var errs []error
	for _, a := range j.config.Firsts() {
		if err := j.restart(ctx, db, a); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (j *job) restart(ctx context.Context, db *state.DB, a config.Application) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := j.watchStart(ctx, db, a)
	if err != nil {
		return err
	}
	if err := j.bus.Restart(ctx, a.Unit); err != nil {
		return &StartError{a.Unit, err.Error(), err}
	}
	unit, err := j.bus.Unit(ctx, a.Unit)
	if err != nil {
		return &StartError{a.Unit, err.Error(), err}
	}
	what, err := j.look(ctx, db, a, s, unit.Ended)
	if err != nil {
		return err
	}
	if what != "" {
		return &WrongStoreError{Unit: a.Unit, Store: s.store, What: what, Config: j.Config}
	}
	return j.noteStart(ctx, a, s, unit)
}

// watchStart begins to watch. The accounts must be in sync; otherwise the value set at the start
// could not be traced to a side.
func (j *job) watchStart(ctx context.Context, db *state.DB, a config.Application) (*start, error) {
	options, err := store.Parse(a.Store)
	if err != nil {
		return nil, err
	}
	s := &start{store: options.Path}
	if s.store == "" {
		s.store = sqlite.DefaultPath
	}
	if s.values, err = osValues(ctx, a); err != nil {
		return nil, err
	}
	memory, err := db.Load(ctx, a.Name, a.Accounts)
	if err != nil {
		return nil, err
	}
	for _, name := range a.Accounts {
		if m := memory.Accounts[name]; m.Open != nil || m.Baseline == nil || m.Baseline.OS.Hash != s.values[name] {
			return nil, &StartError{a.Unit, name + " is not in sync, so the start would not show whose password the application uses", nil}
		}
	}
	folder, err := filepath.EvalSymlinks(filepath.Dir(s.store))
	if err != nil {
		return nil, &StartError{a.Unit, err.Error(), err}
	}
	if err := watch.Readers(ctx, folder, func(pid int, name string) { s.read(a.Unit, pid, name) }); err != nil {
		return nil, &StartError{a.Unit, err.Error(), err}
	}
	if _, err := watch.Writers(ctx, "/etc", func(w watch.Write) { s.wrote(a.Unit, w) }); err != nil {
		return nil, &StartError{a.Unit, err.Error(), err}
	}
	return s, nil
}

func osValues(ctx context.Context, a config.Application) (map[string]string, error) {
	snapshot, err := shadowfile.Open("/").Read(ctx, a.Accounts)
	values := make(map[string]string, len(snapshot.Accounts))
	for name, c := range snapshot.Accounts {
		values[name] = c.Hash
	}
	return values, err
}

// look waits until the application has read its store and set the accounts, or until the settle
// time is over. It returns at once if the application uses another store.
func (j *job) look(ctx context.Context, db *state.DB, a config.Application, s *start, ended time.Time) (wrong string, err error) {
	for end := time.Now().Add(time.Duration(j.config.Settle.Time)); time.Now().Before(end); {
		now, err := osValues(ctx, a)
		if err != nil {
			return "", err
		}
		read, wrote, lost := s.since(ended)
		written := !wrote.IsZero()
		if !maps.Equal(now, s.values) && written {
			return "its start changed the passwords of the OS accounts", nil
		}
		if alarm, ok := wrongSince(ctx, db, a.Name, ended); ok {
			return alarm, nil
		}
		if written && time.Since(wrote) > startCalm {
			if read.IsZero() && !lost {
				return "it set the OS accounts at its start, but did not read " + s.store, nil
			}
			return "", nil
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(startPace):
		}
	}
	return "", nil
}

// wrongSince returns the reason of an alarm about the application's store.
func wrongSince(ctx context.Context, db *state.DB, application string, since time.Time) (string, bool) {
	for alarm, err := range db.Trail(ctx, state.Query{Since: since, Action: shadowsync.ActionAlarm}) {
		if err == nil && alarm.Event.Application == application && alarm.Event.WrongStore() {
			return alarm.Event.Reason, true
		}
	}
	return "", false
}

// noteStart notes what a start that changed nothing shows.
func (j *job) noteStart(ctx context.Context, a config.Application, s *start, seen systemd.UnitState) error {
	unit, err := j.bus.Unit(ctx, a.Unit)
	if err != nil {
		return &StartError{a.Unit, err.Error(), err}
	}
	if unit.Active != "active" {
		return &StartError{a.Unit, "it is " + unit.Active, nil}
	}
	switch read, wrote, lost := s.since(seen.Ended); {
	case wrote.IsZero():
		j.note("not seen: %s did not set the OS accounts within %s of its start", a.Unit, time.Duration(j.config.Settle.Time))
	case read.IsZero() && lost:
		j.note("not seen: a process read the store at the start, but ended too soon to tell whether it was of %s (%s)", a.Unit, s.store)
	default:
		j.note("seen: %s read %s at its start at %s, then set the OS accounts, each as it was", a.Unit, s.store, seen.Began.Local().Format(time.DateTime))
	}
	return nil
}
