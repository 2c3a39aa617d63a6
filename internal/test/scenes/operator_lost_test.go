package scenes

import (
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// questions are the questions of set password, in order.
var questions = []string{"Enter your current password:", "Enter a new password:", "Confirm:"}

// TestLostOperator: at each question the dialogue ends by Ctrl-C, a signal, a hang-up, a lost
// terminal or a dead broker. Nothing is changed, no worker is left, and the terminal shows typed
// text again.
func TestLostOperator(t *testing.T) {
	t.Parallel()
	s := manned(t, machine.Bookworm)
	before := s.ShadowHash("user222") + s.StoreHash("user222")
	for asked, question := range questions {
		for _, way := range []struct {
			name string
			lose func(s *stage, asked int)
		}{{"Ctrl-C", (*stage).cancels}, {"SIGTERM", ended("TERM")}, {"SIGHUP", ended("HUP")}, {"hang-up", (*stage).hangsUp}, {"the connection dies", (*stage).loses}, {"the broker is killed", (*stage).losesBroker}} {
			s.sub(question+" "+way.name, func(s *stage) {
				way.lose(s, asked)
				s.eventually("no worker and no shell is left", machine.Patience, func() bool {
					return s.Run("pgrep", "-f", "worker-pa[m]").Code != 0 && s.Run("pgrep", "-U", "user222", "-x", "pcli").Code != 0
				})
			})
		}
	}
	if after := s.ShadowHash("user222") + s.StoreHash("user222"); after != before {
		t.Error("something was changed")
	}
	s.afterConfirm()
}

// atQuestion answers the questions before number asked.
func atQuestion(d *machine.Dialogue, asked int) {
	d.Answer("> ", "set password")
	for i, question := range questions[:asked] {
		d.Answer(question, []string{oldPassword, newPassword}[i])
	}
	d.Expect(questions[asked], machine.Patience)
	d.Send("half a passw")
	time.Sleep(200 * time.Millisecond) // nothing on the terminal shows that it has taken the setting
}

// watched runs pcli, and asserts that the terminal's settings are the same before and after.
func (s *stage) watched(asked int, then func(d *machine.Dialogue)) {
	s.t.Helper()
	d := s.Terminal("sh", "-c", "stty -a; su user222; echo left; stty -a")
	atQuestion(d, asked)
	if !d.Silent() {
		s.t.Error("a password is shown while it is typed")
	}
	then(d)
	d.Ended(machine.Patience)
	before, rest, _ := strings.Cut(d.Transcript(), "user222@node1")
	_, after, _ := strings.Cut(rest, "left\r\n")
	if !strings.Contains(before, " icanon ") || !strings.Contains(before, " echo ") || after != before {
		s.t.Errorf("the terminal was\n%s, and is\n%s", before, after)
	}
	if strings.Contains(d.Transcript(), "half") {
		s.t.Errorf("a password was shown:\n%s", d)
	}
}

func (s *stage) cancels(asked int) {
	s.t.Helper()
	s.watched(asked, func(d *machine.Dialogue) {
		d.Send("\x03")
		d.Expect("\r\nOperation canceled\r\nuser222@node1.conductor> ", machine.Patience)
		d.Send("exit\n")
	})
}

func ended(signal string) func(s *stage, asked int) {
	return func(s *stage, asked int) {
		s.t.Helper()
		s.watched(asked, func(*machine.Dialogue) { s.Must("pkill", "-"+signal, "-U", "user222", "-x", "pcli") })
	}
}

func (s *stage) hangsUp(asked int) {
	s.t.Helper()
	d := s.SSH("user222", oldPassword)
	atQuestion(d, asked)
	_ = d.Close()
}

func (s *stage) loses(asked int) {
	s.t.Helper()
	atQuestion(s.SSH("user222", oldPassword), asked)
	s.Must("pkill", "-KILL", "-U", "user222", "sshd")
}

func (s *stage) losesBroker(asked int) {
	s.t.Helper()
	s.watched(asked, func(d *machine.Dialogue) {
		s.killBroker()
		d.Send("\x15" + newPassword + "\n") // Ctrl-U deletes what was typed
		if questions[asked] == "Enter a new password:" {
			d.Answer("Confirm:", newPassword)
		}
		d.Expect("% Error: shadowsync closed the connection; nothing was changed", machine.Patience)
		d.Answer("user222@node1.conductor> ", "exit")
	})
}

// afterConfirm: a confirmed change is made on both sides or on neither. The audit says which, and
// so does the terminal, if it still exists. Ctrl-C comes too late.
func (s *stage) afterConfirm() {
	s.holdable("password")
	lost := func() {
		s.WaitFor("the shell's end", machine.Patience, func() bool { return s.Run("pgrep", "-U", "user222", "-x", "pcli").Code != 0 })
		s.release()
	}
	current, fresh := oldPassword, newPassword
	for _, way := range []struct {
		name string
		lose func(d *machine.Dialogue)
	}{
		{"Ctrl-C", func(d *machine.Dialogue) {
			d.Send("\x03")
			time.Sleep(time.Second / 2) // nothing shows that pcli has read the key
			s.release()
			d.Expect("✔ Modifying password...\r\nPassword updated successfully\r\n", machine.Patience)
		}},
		{"hang-up", func(d *machine.Dialogue) { _ = d.Close(); lost() }},
		{"the connection dies", func(*machine.Dialogue) { s.Must("pkill", "-KILL", "-U", "user222", "sshd"); lost() }},
		{"the shell is killed", func(*machine.Dialogue) { s.Must("pkill", "-KILL", "-U", "user222", "-x", "pcli"); lost() }},
	} {
		s.sub("after Confirm: "+way.name, func(s *stage) {
			told := len(s.setPasswords("user222"))
			d := s.SSH("user222", current)
			d.Expect("> ", machine.Patience)
			s.hold()
			setPassword(d, current, fresh)
			s.transacts()
			way.lose(d)
			s.eventually("it is on record", machine.Patience, func() bool { return len(s.setPasswords("user222")) > told })
			s.eventually("it is settled", machine.Patience, func() bool { return s.state("user222").State == "in-sync" })
			s.same("user222")
			changed := s.opensHash(s.ShadowHash("user222"), fresh)
			if result := s.setPasswords("user222")[told]; (result == "done") != changed {
				s.t.Errorf("the audit says %q, and it is changed: %v", result, changed)
			}
			if changed {
				current, fresh = fresh, current
			}
			s.lets("user222", current, fresh)
		})
	}
}

// setPasswords returns the audit's results of the account's own changes in pcli, oldest first.
func (s *stage) setPasswords(account string) []string {
	s.t.Helper()
	var results []string
	for _, e := range s.audit(account) {
		if e.Action == "set password" {
			results = append(results, e.Reason)
		}
	}
	return results
}
