package pamstack

// storing modules keep the password of a local account in shadow(5), and check it there.
var storing = map[string]bool{"pam_unix.so": true, "pam_unix2.so": true, "pam_tcb.so": true}

// directory modules keep passwords of accounts that are not local: for a local account they do nothing and return that
// they do not know the user.
var directory = map[string]bool{
	"pam_sss.so": true, "pam_ldap.so": true, "pam_krb5.so": true, "pam_winbind.so": true,
	"pam_systemd_home.so": true, "pam_himmelblau.so": true, "pam_authd.so": true,
}

// foreign modules deny, or let root, or somebody with another proof, log in without a password: here they do not succeed.
var foreign = map[string]bool{
	"pam_deny.so": true, "pam_rootok.so": true, "pam_fprintd.so": true, "pam_u2f.so": true, "pam_ssh_agent_auth.so": true,
}

// result is what a module returns for a local account in such a walk.
func (l Line) result(stored bool) string {
	switch {
	case l.Broken:
		return denied
	case l.Module == Module:
		return "ignore"
	case directory[l.Module]:
		return "user_unknown"
	case foreign[l.Module], storing[l.Module] && !stored:
		if l.Kind == Auth {
			return "auth_err"
		}
		return "authtok_err"
	}
	return "success"
}

// walker follows a stack as _pam_dispatch_aux of libpam does.
type walker struct {
	stored  bool // the storing module succeeds
	seen    bool // the storing module was reached
	reached bool // pam_shadowsync.so was reached after the storing module
	early   bool // pam_shadowsync.so was reached before the storing module
	judged  bool // the judging line was reached before the storing module
	failed  bool // some module's result was bad: "done" no longer ends the stack
}

// run walks the lines. What ends a substack does not end the stack around it.
func (w *walker) run(lines []Line) {
	for i := 0; i < len(lines); i++ {
		l := lines[i]
		if l.Control == substack { // also one without lines
			w.run(l.Substack)
			continue
		}
		w.note(l)
		switch a := after(l.Control, l.result(w.stored)); {
		case a > 0:
			i += int(a)
		case a == die:
			return
		case a == done && !w.failed:
			return
		case a == bad:
			w.failed = true
		case a == reset:
			w.failed = false
		}
	}
}

func (w *walker) note(l Line) {
	switch {
	case storing[l.Module]:
		w.seen = true
	case Judge.has(l):
		w.judged = w.judged || !w.seen
	case !Announce.has(l) && !Login.has(l):
	case w.seen:
		w.reached = true
	default:
		w.early = true
	}
}

func walk(lines []Line, stored bool) walker {
	w := walker{stored: stored}
	w.run(lines)
	return w
}
