package scenes

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// expires marks a password as expired: the next login must set a new one.
func (s *stage) expires(account string) {
	s.t.Helper()
	password := s.reset("--must-change", "false")
	s.Must("shadowsync", "user", "expire", "password", account)
	s.restart()
	s.isExpired(account)
	if s.Login(account, password) {
		s.t.Errorf("%s still logs in without a new password", account)
	}
	s.reset("--must-change", "false")
}

// isExpired waits until the account must change its password. The appliance's usermod sets the day of
// the change when the appliance starts; the broker, or else the watch over the start, corrects that.
func (s *stage) isExpired(account string) {
	s.t.Helper()
	s.eventually("the password is expired again", machine.Patience, func() bool { return s.field(account, 3) == "0" })
}

// withKey gives user222 an ssh key, and returns a function that reports whether the key logs in.
func (s *stage) withKey() func() bool {
	s.t.Helper()
	s.MustShell(`test -e /root/key || ssh-keygen -q -t ed25519 -N '' -f /root/key
install -d -o user222 -g user222 -m 700 ~user222/.ssh && install -o user222 -g user222 -m 600 /root/key.pub ~user222/.ssh/authorized_keys`)
	return func() bool {
		return s.Run("ssh", "-F", "none", "-i", "/root/key", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
			"user222@127.0.0.1", "true").Code == 0
	}
}

// locksAndUnlocks: lock refuses the password and the key, lock --password-only refuses only the
// password, and both last over restarts of the appliance. unlock restores the account.
func (s *stage) locksAndUnlocks() {
	until := strconv.FormatInt(time.Now().AddDate(4, 0, 0).Unix()/86400, 10)
	password, opens := s.reset("--must-change", "false"), s.withKey()
	s.Must("chage", "-E", until, "user222")
	if !opens() {
		s.t.Fatal("the key opens nothing: the scene proves nothing")
	}
	for _, tc := range []struct {
		flags       []string
		expire      string
		opensLocked bool // the key logs in while locked
	}{{nil, "1", false}, {[]string{"--password-only"}, until, true}} {
		verb := func(name string) []string {
			return append([]string{"shadowsync", "user", name, "user222"}, tc.flags...)
		}
		s.Must(verb("lock")...)
		s.restart()
		if s.field("user222", 8) != tc.expire || !strings.HasPrefix(s.ShadowHash("user222"), "!$") || s.StoreHash("user222") != s.ShadowHash("user222") {
			s.t.Errorf("locked %v: the OS holds %.4q until %q, the store %.4q", tc.flags, s.ShadowHash("user222"), s.field("user222", 8), s.StoreHash("user222"))
		}
		if s.Login("user222", password) {
			s.t.Errorf("locked %v: the password logs in", tc.flags)
		}
		if opens() != tc.opensLocked {
			s.t.Errorf("locked %v: the key logs in: %v", tc.flags, !tc.opensLocked)
		}
		s.Must(verb("unlock")...)
		s.restart()
		if s.field("user222", 8) != until || !strings.HasPrefix(s.ShadowHash("user222"), "$") || s.StoreHash("user222") != s.ShadowHash("user222") {
			s.t.Errorf("unlocked %v: the OS holds %.4q until %q, the store %.4q", tc.flags, s.ShadowHash("user222"), s.field("user222", 8), s.StoreHash("user222"))
		}
		s.opens("user222", password, "")
		if !opens() {
			s.t.Errorf("unlocked %v: the key does not log in", tc.flags)
		}
	}
	s.MustShell("chage -E -1 user222; rm -r ~user222/.ssh")
}

// session is a login in `user sessions --json` and `user logout --json`.
type session struct {
	ID       string `json:"id"`
	Kind     string `json:"kind"`
	Terminal string `json:"terminal"`
	Remote   string `json:"remote"`
}

// logsOut: user sessions lists a login correctly, and user logout ends it.
func (s *stage) logsOut() {
	type list struct {
		Name                       string
		Sessions, Ended, Survivors []session
	}
	s.Must("shadowsync", "user", "logout", "admin") // ends sessions that earlier scenes left
	d := s.SSH("user222", s.reset("--must-change", "false"))
	d.Expect("$ ", machine.Patience) // the shell's prompt
	var open, after list
	s.eventually("the login is listed", machine.Patience, func() bool {
		open = list{}
		s.object(&open, "user", "sessions", "user222")
		return len(open.Sessions) == 1
	})
	if l := open.Sessions[0]; open.Name != "user222" || l.ID == "" || l.Kind != "sshd" || !strings.HasPrefix(l.Terminal, "pts/") || l.Remote != "127.0.0.1" {
		s.t.Errorf("listed is %+v", open)
	}
	if out := s.Must("shadowsync", "user", "sessions", "user222"); !strings.Contains(out, "session "+open.Sessions[0].ID+" (sshd, ") {
		s.t.Errorf("for people it lists:\n%s", out)
	}
	s.listsSessions()
	s.object(&after, "user", "logout", "user222")
	d.Ended(machine.Patience)
	if len(after.Ended) != 1 || after.Ended[0].ID != open.Sessions[0].ID || len(after.Sessions)+len(after.Survivors) != 0 {
		s.t.Errorf("logout says %+v", after)
	}
	if out := s.Must("shadowsync", "user", "logout", "user222"); !strings.Contains(out, "0 sessions of user `user222` ended, 0 survived") {
		s.t.Errorf("once more it says:\n%s", out)
	}
	if out := s.Must("shadowsync", "user", "sessions", "user222"); !strings.Contains(out, "user222 has no session") {
		s.t.Errorf("afterwards it lists:\n%s", out)
	}
}

// listsAndShows: user list and user show print both sides of every account, and never a hash.
func (s *stage) listsAndShows() {
	type side struct {
		Format     string `json:"format"`
		Locked     *bool  `json:"locked"`
		MustChange *bool  `json:"must_change"`
		Max        *int   `json:"max_days"`
	}
	type user struct {
		Name, Application, State string
		OS, Store                *side
	}
	s.reset("--expiry", "33", "--must-change", "true")
	s.Must("shadowsync", "user", "lock", "user222")
	var list struct{ Users []user }
	s.object(&list, "user", "list")
	if len(list.Users) != 2 || list.Users[0].Name != "admin" || list.Users[1].Name != "user222" {
		s.t.Fatalf("listed are %+v", list.Users)
	}
	var shown user
	s.object(&shown, "user", "show", "user222")
	for _, u := range []user{list.Users[1], shown} {
		if u.Application != "conductor" || u.State != "in-sync" || u.OS == nil || u.Store == nil {
			s.t.Fatalf("user222 is %+v", u)
		}
		if !*u.OS.Locked || !*u.OS.MustChange || *u.OS.Max != 33 || !*u.Store.Locked || u.Store.MustChange != nil || u.OS.Format != u.Store.Format {
			s.t.Errorf("user222 is %+v in the OS and %+v in the store", u.OS, u.Store)
		}
	}
	for _, words := range [][]string{{"list"}, {"show", "user222"}} {
		out := s.Must(append([]string{"shadowsync", "user"}, words...)...)
		for _, want := range []string{"user222", "in-sync", "locked", "must change", shown.OS.Format} {
			if !strings.Contains(out, want) || strings.Contains(out, "$") {
				s.t.Errorf("%v: %q is not in, or a hash is:\n%s", words, want, out)
			}
		}
	}
	s.Must("shadowsync", "user", "unlock", "user222")
	s.reset("--expiry", "760", "--must-change", "false")
}

// holdsByHand: the guard's commands, with the JSON that scripts read.
func (s *stage) holdsByHand() {
	var r struct {
		Guards []struct {
			Unit      string `json:"unit"`
			UnitState string `json:"unit_state"`
			Guard     string `json:"guard"`
		}
	}
	for _, step := range []struct{ verb, guard string }{{"status", "off"}, {"hold", "held"}, {"status", "held"}, {"release", "off"}} {
		s.object(&r, "guard", step.verb)
		if len(r.Guards) != 1 || r.Guards[0].Unit != machine.ApplianceUnit || r.Guards[0].UnitState != "active" || r.Guards[0].Guard != step.guard {
			s.t.Errorf("guard %s: %+v", step.verb, r.Guards)
		}
		if held := s.Run("systemctl", "restart", machine.ApplianceUnit).Code != 0; held != (step.guard == "held") {
			s.t.Errorf("after guard %s a restart is refused: %v", step.verb, held)
		}
	}
}

// reportsHashes: user list --hashes counts the formats on both sides, and names the accounts
// whose hash is old or cannot be verified by the application. A password change renews the hash.
func (s *stage) reportsHashes() {
	type report struct {
		Name         string
		OS, Store    map[string]int
		Unverifiable []string
		Old          []string
	}
	look := func() report {
		s.t.Helper()
		var r struct{ Applications []report }
		s.object(&r, "user", "list", "--hashes")
		if len(r.Applications) != 1 {
			s.t.Fatalf("reported are %+v", r)
		}
		return r.Applications[0]
	}
	s.Must("usermod", "-p", s.hashed("Counted-4711-kelp"), "admin")
	s.Must("usermod", "-p", "$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/", "user222")
	s.eventually("the store holds both", machine.Patience, func() bool {
		return strings.HasPrefix(s.StoreHash("user222"), "$1$") && s.StoreHash("admin") == s.ShadowHash("admin")
	})
	if r := look(); r.Name != "conductor" || r.OS["sha512crypt"] != 1 || r.OS["md5crypt"] != 1 || r.Store["sha512crypt"] != 1 || r.Store["md5crypt"] != 1 || fmt.Sprint(r.Old, r.Unverifiable) != "[user222] []" {
		s.t.Errorf("reported is %+v", r)
	}
	s.MustShell(`sed -i 's/^driver .*/&\nformats = ["sha512crypt"]/' ` + machine.ConfigurationPath + ` && systemctl restart shadowsync.service`)
	if r := look(); fmt.Sprint(r.Unverifiable) != "[user222]" {
		s.t.Errorf("the application takes sha512crypt alone, and reported is %+v", r)
	}
	if out := s.Must("shadowsync", "user", "list", "--hashes"); !strings.Contains(out, "cannot verify what its store holds, until the next login or password change: user222") || strings.Contains(out, "$") {
		s.t.Errorf("for people it says:\n%s", out)
	}
	s.Must("shadowsync", "user", "set", "password", "user222", "Renewed-4711-reef")
	if r := look(); r.OS["yescrypt"] != 1 || r.Store["sha512crypt"] != 2 || len(r.Unverifiable)+len(r.Old) != 0 {
		s.t.Errorf("after a password change reported is %+v", r)
	}
	s.MustShell(`sed -i '/^formats /d' ` + machine.ConfigurationPath + ` && systemctl restart shadowsync.service`)
}
