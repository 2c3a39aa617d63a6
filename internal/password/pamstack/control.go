package pamstack

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// action is what libpam does after a module has returned.
type action int

// The actions; a positive number jumps over that many lines.
const (
	ignore action = -iota
	ok
	done
	bad
	die
	reset
)

var actions = map[string]action{"ignore": ignore, "ok": ok, "done": done, "bad": bad, "die": die, "reset": reset}

// keywords are the short controls, with their meaning in pam.conf(5).
var keywords = map[string]string{
	"required":   "success=ok new_authtok_reqd=ok ignore=ignore default=bad",
	"requisite":  "success=ok new_authtok_reqd=ok ignore=ignore default=die",
	"sufficient": "success=done new_authtok_reqd=done default=ignore",
	"optional":   "success=ok new_authtok_reqd=ok default=ignore",
}

// after returns the action of a control for a result ("success", "ignore", "authtok_err", …). As in
// libpam (_pam_parse_control), blanks may stand around "=", the last word about a result counts, the
// first default counts, and a result that the control does not name is bad.
func after(control, result string) action {
	spelled, short := keywords[control]
	if !short {
		spelled = strings.Trim(control, "[]")
	}
	named, fallback := "", ""
	for pair := range slices.Chunk(strings.Fields(strings.ReplaceAll(spelled, "=", " ")), 2) {
		switch {
		case len(pair) < 2:
			return bad
		case pair[0] == result:
			named = pair[1]
		case pair[0] == "default":
			fallback = cmp.Or(fallback, pair[1])
		}
	}
	return actionOf(cmp.Or(named, fallback))
}

func actionOf(text string) action {
	if a, known := actions[text]; known {
		return a
	}
	// To libpam, a jump over no line is the same as ignore, whose value is 0.
	if jump, err := strconv.Atoi(text); err == nil && jump >= 0 {
		return action(jump)
	}
	return bad
}
