package scenes

import (
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// hinted is an error of the tool, the state that causes it, and what following its hint must
// achieve. cmd/shadowsync's TestEveryHintIsFollowed fails for a hint that has neither a row here nor
// another test that runs it.
type hinted struct {
	name   string // of the case in TestStatusAndHint of cmd/shadowsync
	spoil  string // a script that makes the state
	line   string // the command that fails, in sh
	code   int
	hint   string
	mend   string // a script that does what the hint asks for in words
	follow string // the command as a person would complete it; empty: the whole hint
	says   string // in the command's output
	holds  func(s *stage) bool
	tidy   string
}

const phrase = "a phrase of many words"

var hintedErrors = []hinted{
	{name: "mistyped", line: "shadowsync statu", code: 2, hint: "shadowsync status", says: "user222"},
	{name: "usage", line: "shadowsync sync --bogus", code: 2, hint: "shadowsync sync --help", says: "--prefer"},
	{name: "not root", line: "runuser -u user222 -- /usr/sbin/shadowsync status", code: 8, hint: "sudo shadowsync status", says: "user222"},
	{name: "no account", line: "shadowsync user show ghost", code: 5, hint: "shadowsync user list", says: "user222"},
	{name: "no unit", line: "shadowsync guard hold ghost.service", code: 5, hint: "shadowsync guard status", says: machine.ApplianceUnit},
	{name: "no application", line: "shadowsync status --application ghost", code: 5, hint: "shadowsync status", says: "conductor"},
	{name: "its name", line: "shadowsync status conductor", code: 5, hint: "shadowsync status --application conductor", says: "user222"},
	{name: "no entry", line: "shadowsync history restore user222 99", code: 1, hint: "shadowsync history user222"},
	{
		name: "no terminal", line: "setsid -w shadowsync user set password user222 < /dev/null", code: 1, hint: "shadowsync user set password user222 --stdin",
		follow: "echo Hinted-1-velvet-x | shadowsync user set password user222 --stdin", holds: opensNow("Hinted-1-velvet-x"),
	},
	{
		name: "weak", line: "echo short | shadowsync user set password user222 --stdin", code: 6, hint: "choose another password, or: shadowsync user reset password user222",
		follow: "shadowsync user reset password user222", holds: opensPrinted,
	},
	{
		name: "no password", spoil: "usermod -p '!' user222; shadowsync sync user222; true",
		line: "shadowsync user unlock user222", code: 6, hint: "shadowsync user reset password user222 --unlock", holds: opensPrinted,
	},
	{
		name: "bad line", spoil: "cp -p /etc/shadow /root/shadow; sed -i 's/^user222:.*/&:9:9/' /etc/shadow", line: "shadowsync user lock user222", code: 5, hint: "vipw -s",
		follow: `printf '#!/bin/sh\nsleep 1.1; sed -i "s/:9:9\$//" "$1"\n' > /root/editor; chmod +x /root/editor; ` + // vipw(8) compares whole seconds
			`EDITOR=/root/editor vipw -s && shadowsync user lock user222 && shadowsync user unlock user222`,
	},
	{
		name: "masked", spoil: "systemctl mask --now shadowsync.service", line: "shadowsync setup", code: 1, hint: "systemctl unmask shadowsync.service && shadowsync setup",
		says: "done", holds: func(s *stage) bool { return s.Run("systemctl", "is-active", "shadowsync.service").Code == 0 },
	},
	{
		name: "not permitted", spoil: "chattr +i /etc/shadow", line: "shadowsync user lock user222", code: 8, hint: "shadowsync doctor",
		follow: "shadowsync doctor; chattr -i /etc/shadow", says: "chattr -i /etc/shadow",
	},
	{
		name: "backup is there", spoil: "echo '" + phrase + "' > /root/phrase; shadowsync backup /root/b --stdin < /root/phrase", line: "shadowsync backup /root/b --stdin < /root/phrase", code: 1,
		hint:   "shadowsync backup /root/b.new (or, to replace what is there: shadowsync backup /root/b --force)",
		follow: "shadowsync backup /root/b.new --stdin < /root/phrase && shadowsync backup /root/b --force --stdin < /root/phrase && shadowsync restore /root/b --dry-run --stdin < /root/phrase",
	},
	{
		name: "weak passphrase", line: "echo short | shadowsync backup /root/c --stdin", code: 6, hint: "choose a longer one, or: shadowsync backup FILE --recipient age1...",
		follow: "shadowsync backup /root/c --stdin < /root/phrase",
	},
	{
		name: "no passphrase", line: "setsid -w shadowsync backup /root/d < /dev/null", code: 1, hint: "shadowsync backup /root/d --stdin < FILE",
		follow: "shadowsync backup /root/d --stdin < /root/phrase",
	},
	{
		name: "other seal", line: "echo another phrase altogether | shadowsync restore /root/b --stdin", code: 1, hint: "shadowsync restore /root/b",
		follow: "shadowsync restore /root/b --dry-run --stdin < /root/phrase",
	},
	{name: "no backup", line: "shadowsync restore /root/none --stdin < /root/phrase", code: 1, hint: "ls -l /root", says: "phrase"},
	{
		name: "others may write", spoil: "ln -s /root/b /root/link", line: "shadowsync restore /root/link --stdin < /root/phrase", code: 1, hint: "ls -ld /root/link", says: "/root/link -> /root/b",
	},
	{
		name: "pending", spoil: storeReadOnly, line: "echo Hinted-2-velvet-x | shadowsync user set password user222 --stdin", code: 3, hint: "shadowsync status",
		says: "user222: ", tidy: storeWritable,
	},
	{
		name: "waiting", spoil: storeReadOnly + "; echo Hinted-3-velvet-x | shadowsync user set password user222 --stdin; true", line: "shadowsync remove", code: 3,
		hint: "shadowsync sync (or, to lose the changes: shadowsync remove --force)", mend: storeWritable, follow: "shadowsync sync", holds: opensNow("Hinted-3-velvet-x"),
	},
	{
		name: "not to be read", spoil: "cp -p " + machine.StorePath + " /root/store.json; echo '{' >> " + machine.StorePath, line: "echo Hinted-4-velvet-x | shadowsync user set password user222 --stdin", code: 4,
		hint: "repair the store, then: shadowsync sync user222", mend: "cp -p /root/store.json " + machine.StorePath, follow: "shadowsync sync user222", holds: opensNow("Hinted-4-velvet-x"),
	},
	{
		name: "refused", spoil: "cp -p " + machine.ConfigurationPath + " /root/good.toml; echo 'formats = [\"bcrypt\"]' >> " + machine.ConfigurationPath + "; systemctl restart shadowsync.service",
		line: "p=" + strings.Repeat("Hinted-5-velvet-x", 5) + "; printf '%s\\n%s\\n' $p $p | passwd user222 > /dev/null 2>&1; shadowsync sync", code: 4, hint: "shadowsync user set password user222",
		follow: "echo Hinted-5-velvet-x | shadowsync user set password user222 --stdin",
		holds: func(s *stage) bool {
			return strings.HasPrefix(s.StoreHash("user222"), "$2b$") && s.opensHash(s.StoreHash("user222"), "Hinted-5-velvet-x")
		},
		tidy: "cp -p /root/good.toml " + machine.ConfigurationPath + "; systemctl restart shadowsync.service; echo Hinted-6-velvet-x | shadowsync user set password user222 --stdin",
	},
	{
		name: "contradiction", line: "shadowsync setup --unit other.service --account admin user222", code: 1, hint: "edit " + machine.ConfigurationPath + ", then: shadowsync setup",
		follow: "shadowsync setup",
	},
	{
		name: "unwritable state", spoil: "chattr +i /var/lib/shadowsync/state/state.db; systemctl restart shadowsync.service; shadowsync status --check | grep 'broker: failed: the broker cannot do its work: cannot write to state'",
		line: "echo Hinted-9-velvet-x | shadowsync user set password user222 --stdin", code: 9, hint: "shadowsync doctor",
		follow: "shadowsync doctor; chattr -i /var/lib/shadowsync/state/state.db", says: "chattr -i /var/lib/shadowsync/state/state.db", tidy: "systemctl restart shadowsync.service",
	},
	{
		name: "other file", spoil: "(umask 077; cat " + machine.ConfigurationPath + "; echo '# other') > /root/other.toml; shadowsync --config /root/other.toml doctor | tr -s ' \\n' ' ' | grep 'works by " + machine.ConfigurationPath + ", which differs from /root/other.toml'",
		line: "shadowsync --config /root/other.toml setup", code: 1, hint: "install -m 600 /root/other.toml " + machine.ConfigurationPath + " (then run setup without --config)",
		follow: "install -m 600 /root/other.toml " + machine.ConfigurationPath + " && shadowsync setup",
	},
	{
		name: "bad file", spoil: "cp -p " + machine.ConfigurationPath + " /root/good.toml; sed -i 's/^accounts = /accounts /' " + machine.ConfigurationPath, line: "shadowsync setup", code: 1,
		hint: "shadowsync config check", follow: "shadowsync config check; [ $? = 1 ]", says: "hint: editor +", tidy: "cp -p /root/good.toml " + machine.ConfigurationPath,
	},
	{
		name: "file lost", spoil: "rm " + machine.ConfigurationPath, line: "shadowsync setup", code: 1,
		hint: "cp -n /var/lib/shadowsync/state/configuration.toml " + machine.ConfigurationPath, holds: func(s *stage) bool { return s.Run("shadowsync", "config", "check").Code == 0 },
	},
	{
		name: "broken chain", spoil: `sqlite3 -cmd '.timeout 5000' /var/lib/shadowsync/state/state.db "DROP TRIGGER audit_fix; ` +
			`UPDATE audit SET event = replace(event, 'user222', 'user333') WHERE seq = (SELECT max(seq) FROM audit WHERE account = 'user222'); ` +
			`CREATE TRIGGER audit_fix BEFORE UPDATE ON audit BEGIN SELECT raise(ABORT, 'the audit trail is append-only'); END"`,
		line: "shadowsync audit --verify", code: 1, hint: "compare with the journal: journalctl SYSLOG_IDENTIFIER=shadowsync",
		follow: "journalctl --sync; journalctl --no-pager SYSLOG_IDENTIFIER=shadowsync", says: "user222",
	},
}

var (
	storeReadOnly = readOnlyBind(storeFolder)
	storeWritable = "umount --lazy " + storeFolder
)

// opensNow returns a check that a password of user222's is in force on both sides.
func opensNow(password string) func(s *stage) bool {
	return func(s *stage) bool {
		s.settles("user222")
		return s.opensHash(s.ShadowHash("user222"), password) && s.ShadowHash("user222") == s.StoreHash("user222")
	}
}

// printed is what the last command of a row printed.
var printed string

// opensPrinted reports whether the printed password is in force.
func opensPrinted(s *stage) bool {
	_, rest, _ := strings.Cut(printed, "reset to `")
	password, _, there := strings.Cut(rest, "`")
	return there && opensNow(password)(s) && s.Login("user222", password)
}

// TestHints: the command of each hint, run in the state that causes the hint, does what the hint says.
func TestHints(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{})
	s.sub("conflict", func(s *stage) {
		s.apart("user222")
		r := s.Run("shadowsync", "sync")
		hint := hintIn(r)
		if r.Code != 4 || hint != "shadowsync sync user222 --prefer os (or --prefer store)" {
			s.t.Fatalf("sync: %s", r)
		}
		s.MustShell("shadowsync sync user222 --prefer os")
		s.sides("user222", inOS("user222"), inOS("user222"))
	})
	for _, h := range hintedErrors {
		s.sub(h.name, func(s *stage) { h.helps(s) })
	}
}

func hintIn(r machine.Result) string {
	_, hint, _ := strings.Cut(r.Stderr, "hint: ")
	hint, _, _ = strings.Cut(hint, "\n")
	return hint
}

func (h hinted) helps(s *stage) {
	if h.spoil != "" {
		s.MustShell(h.spoil)
	}
	r := s.Shell(h.line)
	if r.Code != h.code || hintIn(r) != h.hint {
		s.t.Errorf("want status %d and the hint %q: %s", h.code, h.hint, r)
	}
	if h.mend != "" {
		s.MustShell(h.mend)
	}
	follow := h.follow
	if follow == "" {
		follow = h.hint
	}
	r = s.Shell(follow)
	printed = r.Stdout
	if r.Code != 0 || !strings.Contains(r.Stdout+r.Stderr, h.says) {
		s.t.Errorf("the hint's command does not say %q: %s", h.says, r)
	}
	if h.holds != nil && !h.holds(s) {
		s.t.Errorf("the hint's command did not help: %s", r)
	}
	if h.tidy != "" {
		s.MustShell(h.tidy)
	}
}
