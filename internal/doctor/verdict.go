package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/shadowsync/shadowsync/internal/printable"
)

// State is how a check ended.
type State string

// The states. A warning needs nobody's haste: passwords still arrive.
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

// verdict is what a check found.
type verdict struct {
	state   State
	detail  string
	command string                      // mends it
	mend    func(context.Context) error // does the same; nil: a person has to
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

// by names the command that mends it, and what does the same; nil: a person has to.
func (v verdict) by(command string, mend func(context.Context) error) verdict {
	v.command, v.mend = command, mend
	return v
}

// person says what no command can do, for it would decide something for the
// administrator, and names the command to begin with.
func (v verdict) person(what, command string) verdict {
	v.detail += "; a person has to " + what
	return v.by(command, nil)
}

// notChecked is for what cannot be looked at while something else is broken.
func notChecked(why string) verdict { return warn("not checked: %s", why) }

func (v verdict) finding(name string) Finding {
	return Finding{Name: name, State: v.state, Detail: printable.Quote(v.detail), Fix: v.command}
}

// join makes one verdict of those about several units, accounts or files; good is
// the detail where nothing is wrong.
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
