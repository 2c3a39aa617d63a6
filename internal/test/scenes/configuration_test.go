package scenes

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// spoilt are scripts that make a configuration unusable, and what shadowsync then says about it.
var spoilt = []struct{ name, script, says string }{
	{"typo", "sed -i 's/^accounts = /accounts /' $F", "line 8"},
	{"one account in two applications", `printf '\n[[application]]\nunit = "other.service"\naccounts = ["admin"]\n' >> $F`, `account \"admin\" is managed by \"conductor\" already`},
	{"unknown key", `sed -i '1i colour = "red"' $F`, `line 1: unknown key`},
	{"unknown driver", "sed -i 's/\"json\"/\"jsonn\"/' $F", "unknown store driver"},
	{"key of the store misspelt", "sed -i 's/^users /userz /' $F", `unknown key \"userz\", did you mean \"users\"`},
	{"empty", ": > $F", "it has no application"},
	{"gone", "rm $F", "no configuration"},
	{"others may write it", "chmod 666 $F", "must belong to root"},
	{"somebody else's", "chown 1000 $F", "must belong to root"},
	{"folder", "rm $F; mkdir $F", "not a regular file"},
	{"link", "mv $F $F.real; ln -s $F.real $F", "too many levels of symbolic links"},
	{"too large", "truncate -s 9M $F", "larger than"},
	{"list of an account that the file names too", "mkdir -p ${F%/*}/accounts.d; echo admin > ${F%/*}/accounts.d/conductor.list", "is managed by"},
}

// TestBadConfiguration: if the configuration is unusable, a restarted broker, the hooks and the
// tool go on with the last good one, and say so. A typo does not lose a password.
func TestBadConfiguration(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{})
	const file = "F=" + machine.ConfigurationPath + "; "
	s.MustShell("cp -p " + machine.ConfigurationPath + " /root/good.toml")
	for i, bad := range spoilt {
		s.sub(bad.name, func(s *stage) {
			s.MustShell(file + bad.script)
			s.Must("systemctl", "restart", "shadowsync.service")
			s.saysSo(bad.says)
			password := fmt.Sprintf("Spoilt-%d-velvet", i)
			s.persists("admin", password, "conductor's")
			if out := s.Input("Tool-"+password+"\n").Run("shadowsync", "user", "set", "password", "user222", "--stdin"); out.Code != 0 ||
				!strings.Contains(out.Stderr, "going on with the last good configuration") {
				s.t.Errorf("set password: %s", out)
			}
			s.restart()
			s.inStore("admin")
			s.inStore("user222")
			if !s.opensHash(s.ShadowHash("admin"), password) {
				s.t.Error("the password is lost")
			}
			s.MustShell(file + "rm -rf $F $F.real ${F%/*}/accounts.d; cp -p /root/good.toml $F; systemctl restart shadowsync.service; shadowsync config check; shadowsync status --check")
		})
	}
	s.sub("and no broker", func(s *stage) {
		s.MustShell(file + spoilt[0].script + "; systemctl stop shadowsync.socket shadowsync-operator.socket shadowsync.service")
		s.passwd("admin", "Alone-velvet-9")
		s.restart()
		s.opens("admin", "Alone-velvet-9", "")
		s.inStore("admin")
		s.MustShell(file + "cp -p /root/good.toml $F; systemctl start shadowsync.socket shadowsync-operator.socket shadowsync.service")
	})
	s.sub("changed, it is used without a restart", func(s *stage) {
		lists := func(account string) bool {
			return strings.Contains(s.ReadFile("/run/shadowsync/managed"), account+"\t")
		}
		pid := s.brokerPID()
		s.MustShell(file + `sed -i 's/^accounts .*/accounts = ["admin"]/' $F`)
		s.eventually("the broker manages admin alone", machine.Patience, func() bool { return lists("admin") && !lists("user222") && s.brokerPID() != pid })
		if said := s.passwd("user222", "Changed-velvet-1"); strings.Contains(said, "shadowsync") {
			s.t.Errorf("passwd user222 said %q", said)
		}
		s.Must("shadowsync", "config", "check")
		s.MustShell(file + spoilt[0].script) // the running broker keeps its configuration
		pid = s.brokerPID()
		s.persists("admin", "Changed-velvet-2", "conductor's")
		s.eventually("the broker looked at the bad one", machine.Patience, func() bool {
			return s.Shell("journalctl -o cat -u shadowsync.service | grep -q 'going on as before'").Code == 0
		})
		if s.brokerPID() != pid {
			s.t.Error("the broker started again for a configuration that cannot be used")
		}
		s.Must("systemctl", "restart", "shadowsync.service") // it goes on with the last good one
		s.MustShell(file + "cp -p /root/good.toml $F")
		s.eventually("the broker manages both", machine.Patience, func() bool {
			return lists("user222") && !strings.Contains(s.Must("systemctl", "show", "-P", "StatusText", "shadowsync.service"), "last good")
		})
		s.eventually("status names no broker", machine.Patience, func() bool { return !strings.Contains(s.Must("shadowsync", "status"), "broker:") })
		s.passwd("user222", "Changed-velvet-3")
		s.inStore("user222")
		s.listedByHand(lists)
	})
	s.sub("removed, it is forgotten", func(s *stage) {
		s.MustShell("shadowsync remove && rm -f " + machine.ConfigurationPath)
		if out := s.Run("shadowsync", "status"); out.Code != 1 || !strings.Contains(out.Stderr, "no configuration") {
			s.t.Errorf("status after remove: %s", out)
		}
	})
}

// listedByHand: a list beside the file that a person edits is followed too, like the roles in the file.
func (s *stage) listedByHand(lists func(string) bool) {
	s.t.Helper()
	const list = "/etc/shadowsync/accounts.d/conductor.list"
	s.MustShell(`sed -i 's/^accounts .*/accounts = ["admin"]/' ` + machine.ConfigurationPath)
	s.eventually("the broker manages admin alone", machine.Patience, func() bool { return !lists("user222") })
	s.MustShell("mkdir -p /etc/shadowsync/accounts.d && echo user222 > " + list)
	s.eventually("the broker manages the listed account", machine.Patience, func() bool { return lists("user222") })
	s.eventually("it is in sync", machine.Patience, func() bool { return s.state("user222").State == "in-sync" })
	s.MustShell("echo admin >> " + list) // the file names it too
	s.eventually("the broker looked at the bad list", machine.Patience, func() bool {
		return s.Shell("journalctl -o cat -u shadowsync.service | grep -q 'going on as before.*is managed by'").Code == 0
	})
	s.MustShell("rm " + list)
	s.eventually("the broker leaves the account alone", machine.Patience, func() bool { return !lists("user222") && lists("admin") })
	s.MustShell("cp -p /root/good.toml " + machine.ConfigurationPath)
	s.eventually("the broker manages both again", machine.Patience, func() bool { return lists("user222") })
	s.MustShell("groupadd bosses && usermod -aG bosses user222")
	role := func() string { return s.Must("runuser", "-u", "user222", "--", "pcli", "-c", "help") }
	if strings.Contains(role(), "Create an account") {
		s.t.Error("user222 is an administrator already")
	}
	s.MustShell(`printf '\n[roles]\nadmin = ["bosses"]\n' >> ` + machine.ConfigurationPath)
	s.eventually("pcli's roles follow the file", machine.Patience, func() bool { return strings.Contains(role(), "Create an account") })
	s.MustShell("gpasswd -d user222 bosses && groupdel bosses && cp -p /root/good.toml " + machine.ConfigurationPath)
}

// saysSo asserts that every command reports an unusable configuration, and that meanwhile no hint
// advises a restart.
func (s *stage) saysSo(reason string) {
	s.t.Helper()
	plain := strings.ReplaceAll(reason, `\"`, `"`)
	for _, command := range []struct {
		line string
		code int
	}{{"shadowsync config check", 1}, {"shadowsync status", 0}, {"shadowsync status --check", 3}, {"shadowsync doctor", 1}, {"journalctl --sync; journalctl -b -o cat -u shadowsync.service -n 20", 0}, {"shadowsync audit", 0}} {
		out := s.Shell(command.line)
		text := out.Stdout + out.Stderr
		if out.Code != command.code || !strings.Contains(text, plain) && !strings.Contains(text, reason) && !strings.Contains(text, "there is no "+machine.ConfigurationPath) && !strings.Contains(text, "belongs to uid 1000") && !strings.Contains(text, "others may write it") {
			s.t.Errorf("%s does not say %q: %s", command.line, plain, out)
		}
		if command.line == "shadowsync doctor" && strings.Contains(text, "restart") {
			s.t.Errorf("doctor hints at a restart: %s", text)
		}
	}
	if out := s.Must("systemctl", "show", "-P", "StatusText", "shadowsync.service"); !strings.Contains(out, "last good one") {
		s.t.Errorf("the broker's status: %s", out)
	}
	var check struct {
		Good   bool    `json:"good"`
		Line   int     `json:"line"`
		Key    string  `json:"key"`
		Reason *string `json:"reason"`
	}
	out := s.Run("shadowsync", "config", "check", "--json")
	if err := json.Unmarshal([]byte(out.Stdout), &check); err != nil || check.Good || check.Reason == nil {
		s.t.Errorf("config check --json: %v, %s", err, out)
	}
}
