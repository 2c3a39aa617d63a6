package systemd

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/internal/term/printable"
	"golang.org/x/sys/unix"
)

// A unit's guard is one file in the unit's folder of runtime drop-ins. The file is also the guard's
// memory, in comments, so that the broker, the tool and the hooks agree without talking to each
// other. Its name says what it does:
const (
	guardConf   = "90-shadowsync-guard.conf"   // systemd reads it: the guard is on
	guardLifted = "90-shadowsync-guard.lifted" // systemd ignores it: past its limit, changes still pending
	guardOff    = "90-shadowsync-guard.off"    // it is removed once systemd has reloaded
)

// GuardPath is the file that makes systemd refuse to stop a unit while its guard is on.
func GuardPath(unit string) string { return filepath.Join(runtimeUnits, unit+".d", guardConf) }

const (
	// heldMark is the beginning of the text that the guard adds to a unit's description.
	heldMark = " (restart held by shadowsync: "
	// releases ends that text; systemd puts the unit's name in place of %n (systemd.unit(5)).
	releases = ", or: shadowsync guard release %n --force"
	// heldNames limits the account names in a description, in bytes.
	heldNames = 100
	// byHand replaces the names, or precedes them, for a hold without a limit.
	byHand = "by hand"
)

// deadline is a time of CLOCK_MONOTONIC, the clock of systemd's timers. The wall clock may be wrong
// by decades until the network is up. A guard is in /run, so it does not outlive the boot.
type deadline time.Duration

func uptime() deadline {
	var ts unix.Timespec
	// It cannot fail for a valid clock.
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return deadline(ts.Nano())
}

func (d deadline) left() time.Duration { return time.Duration(d - uptime()) }

// pendingAccount is an account whose change holds the unit back, and until when.
type pendingAccount struct {
	Guarded
	until deadline
	told  bool // the administrator was notified that the time is over
}

// same reports whether both are the same pending change, told or not.
func (p pendingAccount) same(q pendingAccount) bool {
	return p.Guarded == q.Guarded && p.until == q.until
}

// released is the deadline of an account that holds nothing back: an administrator released it, or
// the guard is switched off.
const released deadline = 0

// guardState is the content of a guard's file.
type guardState struct {
	held        bool   // by an administrator, without a limit
	description string // of the unit, without our addition
	pending     []pendingAccount
}

// guarding returns the accounts whose time is not over yet.
func (s guardState) guarding() []Guarded {
	return s.those(func(p pendingAccount) bool { return p.until.left() > 0 })
}

func (s guardState) those(are func(pendingAccount) bool) (all []Guarded) {
	for _, p := range s.pending {
		if are(p) {
			all = append(all, p.Guarded)
		}
	}
	return all
}

// of returns the accounts of a store.
func (s guardState) of(store string) (pending []pendingAccount) {
	for _, p := range s.pending {
		if p.Store == store {
			pending = append(pending, p)
		}
	}
	return pending
}

func (s guardState) on() bool    { return s.held || len(s.guarding()) > 0 }
func (s guardState) empty() bool { return !s.held && len(s.pending) == 0 }

// lapsed returns the accounts whose time ran out; it leaves out released ones.
func (s guardState) lapsed() []Guarded { return s.those(pendingAccount.lapsed) }

func (p pendingAccount) lapsed() bool { return p.until != released && p.until.left() <= 0 }

// untold returns the lapsed accounts of a store of which the administrator was not notified yet.
func (s guardState) untold(store string) (names []string) {
	for _, p := range s.pending {
		if p.Store == store && p.lapsed() && !p.told {
			names = append(names, p.Account)
		}
	}
	return names
}

// tell marks all lapsed accounts of a store as told.
func (s guardState) tell(store string) guardState {
	s.pending = slices.Clone(s.pending)
	for i, p := range s.pending {
		s.pending[i].told = p.told || p.Store == store && p.lapsed()
	}
	return s
}

// until is when the time of the last account is over.
func (s guardState) until() deadline {
	var last deadline
	for _, p := range s.pending {
		last = max(last, p.until)
	}
	return last
}

// with returns s with these accounts of a store, and those of the other stores. An account that was
// there keeps its deadline, so that a change that stays pending gets no second term. A new change (in
// anew) gets one once the first term is over.
func (s guardState) with(store string, accounts []string, limit time.Duration, anew ...string) guardState {
	before := make(map[string]pendingAccount, len(s.pending))
	var pending []pendingAccount
	for _, p := range s.pending {
		if p.Store == store {
			before[p.Account] = p
		} else {
			pending = append(pending, p)
		}
	}
	until := released // without a limit there is no guard, and nothing lapses
	if limit > 0 {
		until = uptime() + deadline(limit)
	}
	accounts = slices.Compact(slices.Sorted(slices.Values(accounts)))
	for _, name := range accounts {
		p, known := before[name]
		if !known || p.until.left() <= 0 && slices.Contains(anew, name) {
			p = pendingAccount{Guarded: Guarded{name, store}, until: until}
		}
		pending = append(pending, p)
	}
	s.pending = pending
	return s.sorted()
}

// sorted returns s with its accounts in order, so that the same state has the same text.
func (s guardState) sorted() guardState {
	slices.SortFunc(s.pending, func(a, b pendingAccount) int {
		return cmp.Or(strings.Compare(a.Account, b.Account), strings.Compare(a.Store, b.Store))
	})
	return s
}

// text is the content of the file. Foreign text (names and the unit's own description) is quoted,
// and its "%" is doubled because systemd would expand a specifier.
func (s guardState) text() []byte {
	var b strings.Builder
	b.WriteString("# Written by shadowsync, and taken away by it. See shadowsync status.\n")
	if s.held {
		b.WriteString("# held\n")
	}
	fmt.Fprintf(&b, "# description %q\n", s.description)
	for _, p := range s.pending {
		fmt.Fprintf(&b, "# pending %d %q\n", p.until, p.Account)
		if p.Store != "" { // on a line of its own, which older versions skip
			fmt.Fprintf(&b, "# store %q\n", p.Store)
		}
		if p.told {
			fmt.Fprintf(&b, "# told %q\n", p.Account)
		}
	}
	fmt.Fprintf(&b, "[Unit]\nDescription=%s%s\nRefuseManualStop=yes\n", strings.ReplaceAll(s.heldDescription(), "%", "%%"), releases)
	return []byte(b.String())
}

func (s guardState) heldDescription() string {
	who := strings.Join(Names(s.guarding()), ", ")
	switch {
	case who == "":
		who = byHand
	case s.held:
		who = byHand + ", " + who
	}
	return printable.Quote(s.description) + heldMark + printable.Clip(who, heldNames) + "; run shadowsync status)"
}

// Guard says what holds the unit back as systemd has it loaded: a guard whose file was just removed
// is in force until systemd has read its files again.
func (u UnitState) Guard() GuardMode {
	_, who, ours := strings.Cut(u.Description, heldMark)
	switch {
	case !ours || !u.RefusesStop:
		return GuardOff
	case strings.HasPrefix(who, byHand):
		return GuardHeld
	}
	return GuardPending
}

// plainDescription removes a guard's addition from a description.
func plainDescription(text string) string {
	if i := strings.LastIndex(text, heldMark); i >= 0 {
		return text[:i]
	}
	return text
}

// parseGuard reads a guard's file; it skips unknown lines.
func parseGuard(text []byte) guardState {
	var s guardState
	for line := range strings.Lines(string(text)) {
		key, rest, _ := strings.Cut(strings.TrimSpace(strings.TrimPrefix(line, "# ")), " ")
		switch key {
		case "held":
			s.held = rest == ""
		case "description":
			s.description, _ = strconv.Unquote(rest)
		case "pending":
			at, quoted, _ := strings.Cut(rest, " ")
			until, err := strconv.ParseInt(at, 10, 64)
			name, quoteErr := strconv.Unquote(quoted)
			if err == nil && quoteErr == nil {
				s.pending = append(s.pending, pendingAccount{Guarded: Guarded{Account: name}, until: deadline(until)})
			}
		case "store":
			store, err := strconv.Unquote(rest)
			if last := len(s.pending) - 1; err == nil && last >= 0 {
				s.pending[last].Store = store
			}
		case "told":
			name, err := strconv.Unquote(rest)
			if last := len(s.pending) - 1; err == nil && last >= 0 && s.pending[last].Account == name {
				s.pending[last].told = true
			}
		}
	}
	return s
}

// guardFolder is a unit's folder of runtime drop-ins.
type guardFolder string

func (f guardFolder) path(name string) string { return filepath.Join(string(f), name) }

// read returns the guard's state and whether systemd is to obey it.
func (f guardFolder) read() (state guardState, on bool, err error) {
	for _, name := range []string{guardConf, guardLifted} {
		text, err := os.ReadFile(f.path(name))
		if err == nil {
			return parseGuard(text), name == guardConf, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return guardState{}, false, fmt.Errorf("cannot read the guard: %w", err)
		}
	}
	return guardState{}, false, nil
}

// left reports whether the guard was lifted but systemd may not have been told.
func (f guardFolder) left() bool {
	_, err := os.Lstat(f.path(guardOff))
	return err == nil
}

// write writes state, under the right name, and reports whether systemd must read its files again.
func (f guardFolder) write(state guardState) (reload bool, err error) {
	_, was, err := f.read()
	if err != nil {
		return false, err
	}
	switch {
	case state.on():
		return f.put(guardConf, state)
	case state.empty():
		return f.retire()
	case was:
		if err := os.Rename(f.path(guardConf), f.path(guardLifted)); err != nil {
			return false, fmt.Errorf("cannot lift the guard: %w", err)
		}
		_, err := f.put(guardLifted, state)
		return true, err
	default:
		_, err := f.put(guardLifted, state)
		return false, err
	}
}

func (f guardFolder) put(name string, state guardState) (changed bool, err error) {
	text := state.text()
	if old, err := os.ReadFile(f.path(name)); err == nil && string(old) == string(text) {
		return false, nil
	}
	if err := os.MkdirAll(string(f), 0o755); err != nil {
		return false, fmt.Errorf("cannot write the guard: %w", err)
	}
	// Set the mode despite the umask: systemctl cat reads here for every user.
	if err := os.Chmod(string(f), 0o755); err != nil {
		return false, fmt.Errorf("cannot write the guard: %w", err)
	}
	if err := writeFile(f.path(name), text); err != nil {
		return false, err
	}
	if name == guardConf {
		_ = os.Remove(f.path(guardLifted))
	}
	return true, nil
}

// retire renames the file so that systemd does not see it. It stays until the reload: if we die
// before that, it shows that a reload is due.
func (f guardFolder) retire() (reload bool, err error) {
	for _, name := range []string{guardConf, guardLifted} {
		err := os.Rename(f.path(name), f.path(guardOff))
		if err == nil {
			reload = true
		} else if !errors.Is(err, fs.ErrNotExist) {
			return reload, fmt.Errorf("cannot lift the guard: %w", err)
		}
	}
	return reload || f.left(), nil
}

// clean removes what a lifted guard leaves, and the folder if it is empty.
func (f guardFolder) clean() {
	_ = os.Remove(f.path(guardOff))
	_ = os.Remove(string(f))
}
