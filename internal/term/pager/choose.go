package pager

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Environment says which pager is wanted.
type Environment struct {
	Variables []string // as os.Environ returns them
	// Ours: the user that the process runs as wrote the variables. Otherwise they are another
	// user's, kept by sudo or su, and choose no program and no options.
	Ours bool
}

// Here is the environment of this process.
func Here() Environment {
	e := Environment{Variables: os.Environ(), Ours: loginIs(os.Geteuid())}
	for _, name := range []string{"SUDO_UID", "SUDO_USER", "SUDO_COMMAND", "DOAS_USER", "PKEXEC_UID"} {
		if e.value(name) != "" {
			e.Ours = false
		}
	}
	return e
}

// loginIs reports whether this process belongs to a login of that user, or to none, as that of a
// service or a rescue shell. See /proc/PID/loginuid in proc(5).
func loginIs(uid int) bool {
	text, err := os.ReadFile("/proc/self/loginuid")
	if err != nil {
		return true // a kernel without audit does not tell
	}
	login, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32)
	const unset = 1<<32 - 1
	return err == nil && (login == unset || int(login) == uid)
}

// value returns a variable; as getenv(3) does, the first one counts.
func (e Environment) value(name string) string {
	for _, variable := range e.Variables {
		if value, ok := strings.CutPrefix(variable, name+"="); ok {
			return value
		}
	}
	return ""
}

// wanted returns the words of the first variable that names a pager.
func (e Environment) wanted() (words []string, set bool) {
	for _, name := range []string{"SHADOWSYNC_PAGER", "PAGER"} {
		if slices.ContainsFunc(e.Variables, func(v string) bool { return strings.HasPrefix(v, name+"=") }) {
			return strings.Fields(e.value(name)), true
		}
	}
	return nil, false
}

// fallback is the pager of the system. It is the only one that is known to have a secure mode, in
// which it starts no shell, no editor and no other program (less(1), SECURITY); more(1) has none.
var fallback = []string{"/usr/bin/less", "/bin/less"}

// choose returns the pager to run; nil: none.
func (e Environment) choose(ctx context.Context) *exec.Cmd {
	if terminal := e.value("TERM"); terminal == "" || terminal == "dumb" {
		return nil
	}
	words, set := e.wanted()
	if set && (len(words) == 0 || words[0] == "cat") { // anybody may do without
		return nil
	}
	if set && e.Ours {
		if path, err := exec.LookPath(words[0]); err == nil {
			return e.command(ctx, path, words[1:])
		}
	}
	for _, path := range fallback {
		// A link to a program of many names, as busybox, has no secure mode.
		if file, err := filepath.EvalSymlinks(path); err == nil && filepath.Base(file) == "less" {
			return e.command(ctx, path, nil)
		}
	}
	return nil
}

func (e Environment) command(ctx context.Context, path string, options []string) *exec.Cmd {
	command := exec.CommandContext(ctx, path, options...)
	command.Args[0] = filepath.Base(path) // less called by another name has other options
	command.Env, command.Dir = e.clean(), "/"
	return command
}

// clean returns the pager's environment: that of a pager in secure mode, and of another user's
// variables only those that say what the terminal is.
func (e Environment) clean() []string {
	// Stop at a short text (F), at Ctrl-C (K), show how far it is (M), and leave the text on the screen (X).
	env := []string{"LESSSECURE=1", "LESSCHARSET=utf-8", "LESS=FKMX"}
	if !e.Ours {
		env = append(env, "PATH=/usr/sbin:/usr/bin:/sbin:/bin")
	}
	for _, variable := range e.Variables {
		name, value, _ := strings.Cut(variable, "=")
		switch {
		case name == "LESSSECURE", name == "LESSSECURE_ALLOW", name == "LESSOPEN", name == "LESSCLOSE": // these would undo the secure mode
		case e.Ours && name == "LESS":
			env[2] = variable
		case e.Ours && name == "LESSCHARSET":
			env[1] = variable
		case e.Ours, slices.Contains([]string{"TERM", "LANG", "LC_ALL", "LC_CTYPE", "COLUMNS", "LINES"}, name) && !strings.Contains(value, "/"):
			env = append(env, variable)
		}
	}
	return env
}
