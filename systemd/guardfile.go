package systemd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/internal/printable"
	"golang.org/x/sys/unix"
)

// The guard of a unit is one file in the unit's folder of runtime drop-ins. It is
// also the guard's memory, in comments, so that the broker, the tool and the hooks
// agree without talking to each other. Its name says what it does:
const (
	guardConf   = "90-shadowsync-guard.conf"   // systemd heeds it: the guard is on
	guardLifted = "90-shadowsync-guard.lifted" // systemd does not: past its limit, changes still pending
	guardOff    = "90-shadowsync-guard.off"    // going away as soon as systemd has reloaded
)

const (
	// heldMark begins what the guard adds to a unit's description.
	heldMark = " (restart held by shadowsync: "
	// heldNames is how much of the accounts' names a description has room for, in bytes.
	heldNames = 100
	// byHand stands in the place of names, or before them, for a hold without a limit.
	byHand = "by hand"
)

// deadline is a point of CLOCK_MONOTONIC, the clock of systemd's timers. The wall
// clock may be wrong by decades until the network is up, and a guard lives in /run,
// so it never outlives the boot.
type deadline time.Duration

func uptime() deadline {
	var ts unix.Timespec
	// It fails for no valid clock.
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return deadline(ts.Nano())
}

func (d deadline) left() time.Duration { return time.Duration(d - uptime()) }

// pendingAccount is an account whose change holds the unit back, and for how long.
type pendingAccount struct {
	name  string
	until deadline
}

// guardState is what a guard's file says.
type guardState struct {
	held        bool   // by hand, without a limit
	description string // of the unit, before we touched it
	pending     []pendingAccount
}

// names returns the accounts whose time is not over yet.
func (s guardState) names() []string {
	var names []string
	for _, p := range s.pending {
		if p.until.left() > 0 {
			names = append(names, p.name)
		}
	}
	return names
}

func (s guardState) on() bool    { return s.held || len(s.names()) > 0 }
func (s guardState) empty() bool { return !s.held && len(s.pending) == 0 }

// until is when the last account's time is over.
func (s guardState) until() deadline {
	var last deadline
	for _, p := range s.pending {
		last = max(last, p.until)
	}
	return last
}

// with returns s for these accounts. One that was there keeps its deadline: a
// change that stays pending gets no second term.
func (s guardState) with(accounts []string, limit time.Duration) guardState {
	before := make(map[string]deadline, len(s.pending))
	for _, p := range s.pending {
		before[p.name] = p.until
	}
	accounts = slices.Compact(slices.Sorted(slices.Values(accounts)))
	s.pending = make([]pendingAccount, 0, len(accounts))
	for _, name := range accounts {
		until, known := before[name]
		if !known {
			until = uptime() + deadline(limit)
		}
		s.pending = append(s.pending, pendingAccount{name, until})
	}
	return s
}

// text is the file. What is not ours in it, names and the unit's own description,
// is quoted, and its "%" doubled against systemd's specifiers.
func (s guardState) text() []byte {
	var b strings.Builder
	b.WriteString("# Written by shadowsync, and taken away by it. See shadowsync status.\n")
	if s.held {
		b.WriteString("# held\n")
	}
	fmt.Fprintf(&b, "# description %q\n", s.description)
	for _, p := range s.pending {
		fmt.Fprintf(&b, "# pending %d %q\n", p.until, p.name)
	}
	fmt.Fprintf(&b, "[Unit]\nDescription=%s\nRefuseManualStop=yes\n", strings.ReplaceAll(s.heldDescription(), "%", "%%"))
	return []byte(b.String())
}

func (s guardState) heldDescription() string {
	who := strings.Join(s.names(), ", ")
	switch {
	case who == "":
		who = byHand
	case s.held:
		who = byHand + ", " + who
	}
	return printable.Quote(s.description) + heldMark + printable.Clip(who, heldNames) + "; run shadowsync status)"
}

// Guard tells what holds the unit back as systemd has it loaded: a guard that was just
// lifted on record is in force until systemd has read its files again.
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

// plainDescription takes what a guard added off a description.
func plainDescription(text string) string {
	if i := strings.LastIndex(text, heldMark); i >= 0 {
		return text[:i]
	}
	return text
}

// parseGuard reads a guard's file; lines it does not know are skipped.
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
				s.pending = append(s.pending, pendingAccount{name, deadline(until)})
			}
		}
	}
	return s
}

// guardFolder is a unit's folder of runtime drop-ins.
type guardFolder string

func (f guardFolder) path(name string) string { return filepath.Join(string(f), name) }

// read returns what is on record and whether systemd is to heed it.
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

// left tells whether a lifting of the guard was cut short before systemd heard of it.
func (f guardFolder) left() bool {
	_, err := os.Lstat(f.path(guardOff))
	return err == nil
}

// write makes state the file, under the name that fits it, and tells whether
// systemd has to read its files again for it.
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
	// Whatever the umask says: systemctl cat reads here for everybody.
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

// retire takes the file out of systemd's sight. It is not gone yet: if we die
// before the reload, what is left says that one is due.
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

// clean takes away what a lifted guard leaves, and the folder if nobody else uses it.
func (f guardFolder) clean() {
	_ = os.Remove(f.path(guardOff))
	_ = os.Remove(string(f))
}
