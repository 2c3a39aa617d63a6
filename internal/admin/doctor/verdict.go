package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/shadowsync/shadowsync/internal/term/printable"
)

// State is the result of a check.
type State string

// The states. A warning is not urgent: passwords still arrive.
const (
	OK   State = "ok"
	Warn State = "warn"
	Fail State = "fail"
)

func (s State) label() string {
	if s == Fail {
		return "FAIL"
	}
	return string(s)
}

func (s State) rank() int { return map[State]int{OK: 0, Warn: 1, Fail: 2}[s] }

// verdict is the result of one check.
type verdict struct {
	state   State
	detail  string
	command string                      // repairs the fault
	mend    func(context.Context) error // does the same; nil: only a person can
}

func pass(format string, args ...any) verdict {
	return verdict{state: OK, detail: fmt.Sprintf(format, args...)}
}

func warn(format string, args ...any) verdict {
	return verdict{state: Warn, detail: fmt.Sprintf(format, args...)}
}

func fail(format string, args ...any) verdict {
	return verdict{state: Fail, detail: fmt.Sprintf(format, args...)}
}

// by adds the command that repairs the fault, and the function that does the same; nil: only a
// person can.
func (v verdict) by(command string, mend func(context.Context) error) verdict {
	v.command, v.mend = command, mend
	return v
}

// person says what the administrator has to decide or do, and names the first command for it.
func (v verdict) person(what, command string) verdict {
	v.detail += "; a person has to " + what
	return v.by(command, nil)
}

// notChecked is for what cannot be checked because something else is broken.
func notChecked(why string) verdict { return warn("not checked: %s", why) }

func (v verdict) finding(name string) Finding {
	return Finding{Name: name, State: v.state, Detail: printable.Quote(v.detail), Fix: v.command}
}

// join combines the verdicts about several units, accounts or files. good is the detail if nothing
// is wrong.
func join(good string, found ...verdict) verdict {
	all := pass("%s", good)
	var details, commands []string
	var mends []func(context.Context) error
	for _, v := range found {
		if v.state == OK {
			continue
		}
		if v.state.rank() > all.state.rank() {
			all.state = v.state
		}
		details = append(details, v.detail)
		commands = appendNew(commands, v.command)
		if v.mend != nil {
			mends = append(mends, v.mend)
		}
	}
	if len(details) == 0 {
		return all
	}
	all.detail, all.command = strings.Join(details, "; "), strings.Join(commands, " && ")
	if len(mends) > 0 {
		all.mend = func(ctx context.Context) error { return mendAll(ctx, mends) }
	}
	return all
}

func mendAll(ctx context.Context, mends []func(context.Context) error) error {
	var errs []error
	for _, mend := range mends {
		errs = append(errs, mend(ctx))
	}
	return errors.Join(errs...)
}

func appendNew(list []string, text string) []string {
	for _, known := range list {
		if known == text {
			return list
		}
	}
	if text == "" {
		return list
	}
	return append(list, text)
}
