package pamstack

import (
	"strconv"
	"strings"
)

// action is what libpam does after a module returned.
type action int

// The actions; a positive number jumps over so many lines.
const (
	ignore action = -iota
	ok
	done
	bad
	die
	reset
)

var actions = map[string]action{"ignore": ignore, "ok": ok, "done": done, "bad": bad, "die": die, "reset": reset}

// keywords are the short controls, as pam.conf(5) spells them out.
var keywords = map[string]string{
	"required":   "success=ok new_authtok_reqd=ok ignore=ignore default=bad",
	"requisite":  "success=ok new_authtok_reqd=ok ignore=ignore default=die",
	"sufficient": "success=done new_authtok_reqd=done default=ignore",
	"optional":   "success=ok new_authtok_reqd=ok default=ignore",
}

// after is the action that a control wants after a result ("success", "ignore",
// "authtok_err", …). What it does not name is bad, as libpam has it.
func after(control, result string) action {
	spelled, short := keywords[control]
	if !short {
		spelled = strings.Trim(control, "[]")
	}
	fallback := bad
	for _, pair := range strings.Fields(spelled) {
		name, value, _ := strings.Cut(pair, "=")
		if name == result {
			return actionOf(value)
		}
		if name == "default" {
			fallback = actionOf(value)
		}
	}
	return fallback
}

func actionOf(text string) action {
	if a, known := actions[text]; known {
		return a
	}
	if jump, err := strconv.Atoi(text); err == nil && jump > 0 {
		return action(jump)
	}
	return bad
}
