package scenes

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// TestNoWayPast: whatever administrators make of common-auth and common-account, a password or a key
// alone opens no account that has a second factor.
func TestNoWayPast(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{})
	s.MustShell(wireFactor)
	a := s.enrols("admin")
	s.MustShell("cp /etc/pam.d/common-auth /etc/pam.d/common-account /root/")
	const missed = "account admin: no code is asked for: the line of pam_shadowsync.so in common-auth was not reached"
	for _, c := range []struct {
		name, file, stack string
		code              bool // the right password and a code get in
	}{
		{"as Debian has it", "common-auth", "", true},
		{"a sufficient pam_unix", "common-auth", "auth sufficient pam_unix.so nullok\nauth requisite pam_deny.so\nauth optional pam_shadowsync.so\n", false},
		{"without our line", "common-auth", "auth [success=1 default=ignore] pam_unix.so nullok\nauth requisite pam_deny.so\nauth required pam_permit.so\n", false},
		{"pam_faillock's recipe", "common-auth", "auth required pam_faillock.so preauth silent audit deny=5\nauth sufficient pam_unix.so nullok try_first_pass\nauth [default=die] pam_faillock.so authfail audit deny=5\nauth optional pam_shadowsync.so\n", false},
		{"pam_faillock before our line", "common-auth", "auth requisite pam_faillock.so preauth deny=5\nauth [success=1 default=ignore] pam_unix.so nullok\nauth [default=die] pam_faillock.so authfail deny=5\nauth required pam_faillock.so authsucc\nauth optional pam_shadowsync.so\n", true},
		{"the account lines of libpam-sss", "common-account", "account [success=1 new_authtok_reqd=done default=ignore] pam_unix.so\naccount requisite pam_deny.so\naccount required pam_permit.so\naccount sufficient pam_localuser.so\naccount [default=bad success=ok user_unknown=ignore] pam_sss.so\n", true},
		{"a sufficient account line first", "common-account", "account sufficient pam_permit.so\n", true},
	} {
		s.sub(c.name, func(s *stage) {
			s.MustShell("cp /root/common-auth /root/common-account /etc/pam.d/; faillock --user admin --reset; faillock --user user222 --reset")
			if c.stack != "" {
				s.WriteFile("/etc/pam.d/"+c.file, c.stack, 0o644)
			}
			s.Must("journalctl", "--rotate", "--vacuum-time=1s", "-q")
			s.keepsOut("a wrong password", byDialogue, "admin", "wrong", "", "Permission denied")
			if said := s.Journal("-t", "sshd"); strings.Contains(said, "was not reached") {
				s.t.Errorf("after a wrong password the journal says %s", said)
			}
			s.keepsOut("the password alone", byDialogue, "admin", machine.OldPassword, "", "Permission denied")
			s.keepsOut("by the method password", byPassword, "admin", machine.OldPassword, "", "Permission denied")
			s.keepsOut("the key alone", byKey, "admin", "", "", "a key alone is not enough")
			s.admits("somebody without a second factor", byDialogue, "user222", machine.OldPassword, "")
			if c.code {
				s.admits("a code", byDialogue, "admin", machine.OldPassword, a.next())
				return
			}
			s.WaitFor("the journal names the line", machine.Patience, func() bool { return strings.Contains(s.Journal("-t", "sshd"), missed) })
		})
	}
}

// foldingNSS is a source of names that does not tell capitals from small letters, as some directories.
const foldingNSS = `#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <nss.h>
#include <pwd.h>
#include <shadow.h>
#include <stdio.h>
#include <string.h>
#define FIND(function, type, file, next) \
	enum nss_status function(const char *name, type *entry, char *buffer, size_t size, int *why) \
	{ \
		FILE *all = fopen(file, "re"); type *found = NULL; enum nss_status status = NSS_STATUS_NOTFOUND; int upper = 0; \
		for (const char *at = name; *at; at++) upper |= isupper((unsigned char)*at); \
		while (upper && all && next(all, entry, buffer, size, &found) == 0) \
			if (!strcasecmp(NAME(entry), name)) { status = NSS_STATUS_SUCCESS; break; } \
		if (all) fclose(all); \
		*why = ENOENT; \
		return status; \
	}
#define NAME(entry) (entry)->pw_name
FIND(_nss_fold_getpwnam_r, struct passwd, "/etc/passwd", fgetpwent_r)
#undef NAME
#define NAME(entry) (entry)->sp_namp
FIND(_nss_fold_getspnam_r, struct spwd, "/etc/shadow", fgetspent_r)
`

// TestAnotherSpelling: where NSS finds an account by another spelling of its name, that spelling is asked
// for the code, too.
func TestAnotherSpelling(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{})
	s.MustShell(wireFactor)
	source, library := filepath.Join(t.TempDir(), "fold.c"), filepath.Join(t.TempDir(), "fold.so")
	if err := os.WriteFile(source, []byte(foldingNSS), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "gcc", "-shared", "-fPIC", "-o", library, source).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s.CopyIn(library, "/usr/lib/libnss_fold.so.2", 0o644)
	s.MustShell(`ldconfig; sed -i -E 's/^(passwd|shadow):.*/& fold/' /etc/nsswitch.conf; systemctl restart ssh; getent passwd ADMIN | grep ^admin:`)
	s.admits("another spelling, while nobody is enrolled", byDialogue, "ADMIN", machine.OldPassword, "")
	a := s.enrols("admin")
	s.keepsOut("another spelling, the password alone", byDialogue, "ADMIN", machine.OldPassword, "", "Permission denied")
	s.keepsOut("another spelling, by the method password", byPassword, "Admin", machine.OldPassword, "", "Permission denied")
	s.keepsOut("another spelling, the key alone", byKey, "ADMIN", "", "", "a key alone is not enough")
	s.admits("another spelling, with a code", byDialogue, "ADMIN", machine.OldPassword, a.next())
	s.MustShell("kill -STOP $(systemctl show -P MainPID shadowsync.service)")
	defer s.MustShell("kill -CONT $(systemctl show -P MainPID shadowsync.service)")
	s.keepsOut("another spelling, without the broker", byDialogue, "ADMIN", machine.OldPassword, "", "second factors cannot be checked now")
}

// TestFactorOnTheWire: scp and sftp ask at a terminal, a clock that is ten minutes off opens nothing and is told
// to root, and each login goes through what setup wrote.
func TestFactorOnTheWire(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{})
	s.MustShell(wireFactor)
	a := s.enrols("admin")
	options := []string{"-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "PreferredAuthentications=keyboard-interactive"}
	s.sub("scp", func(s *stage) {
		d := s.Terminal(append(append([]string{"scp"}, options...), "/etc/hostname", "admin@127.0.0.1:/tmp/copied")...)
		d.Answer("assword: ", machine.OldPassword)
		d.Answer(askForCode, a.next())
		if status := d.Ended(machine.Patience); status != 0 || s.ReadFile("/tmp/copied") != s.ReadFile("/etc/hostname") {
			s.t.Errorf("scp ends with %d: %s", status, d)
		}
	})
	s.sub("sftp", func(s *stage) {
		d := s.Terminal(append(append([]string{"sftp"}, options...), "admin@127.0.0.1")...)
		d.Answer("assword: ", machine.OldPassword)
		d.Answer(askForCode, a.next())
		d.Answer("sftp> ", "ls /etc/hostname")
		d.Answer("sftp> ", "exit")
		if status := d.Ended(machine.Patience); status != 0 || !strings.Contains(d.Transcript(), "/etc/hostname\r\n") {
			s.t.Errorf("sftp ends with %d: %s", status, d)
		}
	})
	s.sub("clock", func(s *stage) {
		a.s = s
		for _, off := range []time.Duration{10 * time.Minute, -10 * time.Minute} {
			s.keepsOut("a clock that is off by "+off.String(), byDialogue, "admin", machine.OldPassword, a.code(int(off/time.Second)), "shadowsync: the code is not right")
		}
		trail := s.Must("shadowsync", "audit", "--user", "admin")
		for _, told := range []string{"a clock that is 10m0s ahead", "a clock that is 10m0s behind"} {
			if !strings.Contains(trail, told) {
				s.t.Errorf("root is not told of %q:\n%s", told, trail)
			}
		}
		s.admits("the right clock", byDialogue, "admin", machine.OldPassword, a.code(30))
	})
}

// TestFactorRequired: within the days everybody may put the enrolment off; after them nothing gets in
// without, and the prompt leads through the enrolment. Strangers see the same question.
func TestFactorRequired(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{})
	s.MustShell(wireFactor)
	s.MustShell(`sed -i 's/^services = .*/&\nrequired = "everybody"/' /etc/shadowsync/shadowsync.toml; shadowsync config check; systemctl restart shadowsync.service`)
	const soon, now = "A second factor is required of this account from 20", "A second factor is required of this account."
	var asked []string
	for user, password := range map[string]string{"user222": machine.OldPassword, "admin": "wrong", "nobody-there": "wrong"} {
		_, told := s.comes(byDialogue, user, password, "123456")
		asked = append(asked, strings.ReplaceAll(strings.SplitAfter(told, "code")[0], user, "NAME"))
	}
	if asked[0] != asked[1] || asked[1] != asked[2] || !strings.Contains(asked[0], "Verification code") {
		t.Errorf("strangers are asked otherwise: %q", asked)
	}
	for _, methods := range []string{byPassword, byKey} {
		if r, _ := s.comes(methods, "user222", machine.OldPassword, ""); r.Code != 0 {
			t.Errorf("within the days, by %s: %s", methods, r)
		}
	}
	d := s.calls("admin")
	d.Answer(askForCode, "")
	d.Expect("shadowsync: "+soon, machine.Patience)
	d.Answer("or press Enter to go on:", "")
	d.Expect("in-42", machine.Patience)

	s.MustShell(`printf 'everybody\t2026-01-01T00:00:00Z\n' >/var/lib/shadowsync/required`)
	s.keepsOut("the key alone", byKey, "user222", "", "", "shadowsync: "+now)
	s.keepsOut("by the method password", byPassword, "user222", machine.OldPassword, "", "Permission denied")
	d = s.calls("user222")
	d.Answer(askForCode, "")
	d.Expect("shadowsync: "+now, machine.Patience)
	d.Answer("Type 'enrol' to enrol one now:", "no")
	d.Answer("Type 'enrol' to enrol one now:", "enrol")
	a := s.setsUp(d, "in-42")
	s.admits("a code", byDialogue, "user222", machine.OldPassword, a.next())
	s.keepsOut("the password alone", byDialogue, "user222", machine.OldPassword, "", "Permission denied")
	if out := s.Run("shadowsync", "doctor").Stdout; !strings.Contains(out, "no second factor, which second_factor.required asks for: admin") {
		t.Errorf("doctor says %s", out)
	}
}
