package scenes

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/test/eventually"
	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// TestPageUnderFaults: whatever of ours is missing, the page says so, and what was begun is done on both sides or on neither.
// Nothing is left of what was typed.
func TestPageUnderFaults(t *testing.T) {
	t.Parallel()
	w := paged(t)
	w.part("broker away", withoutBroker)
	w.part("killed", killedInAChange)
	w.part("certificate", replacesCertificate)
	w.part("clear text", pageKeepsNothing)
}

// withoutBroker: the page says that the broker is away, or does not answer; then it goes on where it was.
func withoutBroker(w *site) {
	v := w.enters("user222", oldPassword)
	sockets := strings.Join(strings.Fields(w.MustShell("systemctl list-units --plain --no-legend --type=socket 'shadowsync*' | cut -d' ' -f1 | grep -v shadowsync-web")), " ")
	const masked = " shadowsync.service shadowsync-pages.socket" // because the start of the page would start them
	for what, away := range map[string][2]string{
		"stopped": {
			"systemctl stop shadowsync.service " + sockets + " && systemctl mask --runtime" + masked,
			"systemctl unmask --runtime" + masked + " && systemctl start " + sockets + " shadowsync.service",
		},
		"hung": {"systemctl kill -s STOP shadowsync.service", "systemctl kill -s CONT shadowsync.service"},
	} {
		w.MustShell(away[0])
		for _, path := range []string{"/profile", "/profile/password", "/admin/users", signIn} {
			var status int
			if took := took(func() { status = v.Open(path) }); status != http.StatusServiceUnavailable || took > 10*time.Second {
				w.t.Errorf("broker %s: %s is answered with %d after %v", what, path, status, took)
			}
			v.Sees("does not answer")
		}
		w.MustShell(away[1])
		w.eventually("the broker is back", machine.Patience, func() bool { return w.As("user222").Run("pcli", "-c", "show user").Code == 0 })
		w.eventually("the page sees it", machine.Patience, func() bool { return v.Open("/profile") == http.StatusOK })
		v.At("/profile")
	}
}

// process returns the pid, on the host, of a process of the machine by a part of its command line; empty: there is none.
func (m *insides) process(part string) string {
	for pid, line := range m.processes() {
		if strings.Contains(line, part) {
			return pid
		}
	}
	return ""
}

// killedInAChange: the page's process, or the daemon, is killed while a change is made, at several moments. Both sides changed or
// neither did, one of the two passwords signs in, and the page then says which, and when the password was changed.
func killedInAChange(w *site) {
	m := w.insides()
	shadow, store := filepath.Join(w.Root(), "etc/shadow"), filepath.Join(w.Root(), machine.StorePath)
	read := func(file string) string {
		text, _ := os.ReadFile(file) // it is being replaced
		return string(text)
	}
	before := map[string]string{}
	asked := func() bool { return m.process("worker-pam") != "" }
	page := func() {
		if pid := m.process("shadowsync-web"); pid != "" {
			_ = signal(pid, syscall.SIGKILL)
		}
	}
	for what, at := range map[string]struct {
		has  func() bool
		kill func()
	}{
		"the form is sent": {func() bool { return true }, page},
		"PAM is asked":     {asked, page},
		"the OS has it":    {func() bool { return read(shadow) != before[shadow] }, page},
		"the store has it": {func() bool { return read(store) != before[store] }, page},
		"PAM is asked, and the daemon is killed": {asked, func() {
			killed := w.brokerPID()
			w.Must("systemctl", "kill", "--signal=KILL", "shadowsync.service")
			w.eventually("the next daemon", machine.Patience, func() bool {
				return w.brokerPID() != killed && w.Run("systemctl", "is-active", "shadowsync.service").Code == 0
			})
		}},
	} {
		w.passwd("user222", oldPassword)
		w.Must("chage", "-d", "2026-01-02", "user222")
		v := w.enters("user222", oldPassword)
		c, mine := w.client(anybody), cookie(v)
		eventually.Holds(w.t, "the transaction of the sign-in has ended", func() bool { return m.process("worker-pam") == "" })
		before[shadow], before[store] = read(shadow), read(store)
		type result struct {
			reply
			error
		}
		ended := make(chan result, 1)
		go func() {
			a, err := w.tries(c, "/profile/password", url.Values{"current": {oldPassword}, "new": {newPassword}, "confirm": {newPassword}}, "Cookie", mine)
			ended <- result{a, err}
		}()
		eventually.Holds(w.t, what, at.has)
		at.kill()
		r := <-ended
		w.t.Logf("killed when %s: %d, %v", what, r.status, r.error)
		last := time.Now()
		w.eventually("for a second nothing has been changed", machine.Patience, func() bool {
			if m.process("worker-pam") != "" {
				last = time.Now()
			}
			return time.Since(last) > time.Second
		})
		w.inStore("user222")
		right, wrong, day, became := oldPassword, newPassword, "2026-01-02", "nothing was changed"
		if w.opensHash(w.ShadowHash("user222"), newPassword) {
			right, wrong, day, became = newPassword, oldPassword, strings.TrimSpace(w.Must("date", "-u", "+%F")), "Password updated successfully"
		}
		if r.error == nil && r.status == http.StatusOK && right != newPassword {
			w.t.Error("the page said that it was changed, and it was not")
		}
		again := w.visit()
		again.Submit("sign-in", "username", "user222", "password", wrong)
		refused(again, http.StatusForbidden, "sign-in", "password", "")
		again.Submit("sign-in", "username", "user222", "password", right)
		again.At("/profile")
		again.Sees("changed " + day)
		if what != "the form is sent" || right == newPassword { // else the daemon may never have heard of it
			w.eventually("the page says what became of the change: "+became, machine.Patience, func() bool {
				again.Open("/profile")
				return again.Text("#last-change") == became
			})
		}
		v.Open("/profile")
		if at := v.Path(); (at == signIn) != (right == newPassword) {
			w.t.Errorf("killed when %s: the session that began before is at %s", what, at)
		}
	}
	w.passwd("user222", oldPassword)
}

// replacesCertificate: a new certificate is used without anybody's doing, once the process has ended that took the old one.
func replacesCertificate(w *site) {
	serial := func() string {
		response, err := w.client(anybody).Get(pageOrigin + signIn)
		if err != nil {
			w.t.Fatal(err)
		}
		response.Body.Close()
		return response.TLS.PeerCertificates[0].SerialNumber.String()
	}
	before := serial()
	w.certify()
	m := w.insides()
	w.eventually("the page ends, as nobody uses it", machine.Patience, func() bool { return m.process("shadowsync-web") == "" })
	w.eventually("the new certificate is used", machine.Patience, func() bool { return serial() != before })
}

// pageKeepsNothing: passwords and codes are in no file, log, address or core afterwards, and in no process but the browser's
// own; 15 seconds later also in none of the page's.
func pageKeepsNothing(w *site) {
	m := w.insides()
	w.seesWhatIsPlanted(m)
	v := w.enters("user222", oldPassword)
	v.Open("/profile/password")
	m.flies("worker-pam", []string{"chromium", "shadowsync-web"}, func() {
		v.Submit("change-password", "current", oldPassword, "new", canary, "confirm", canary)
		v.Text("#done")
	})
	v = w.enters("user222", canary)
	phone := w.enrolsAtThePage(v, canary)
	v.Open("/profile/mail")
	v.Submit("mail", "address", "canary@example.net", "code", phone.next())
	v.Submit("sign-out")
	v = w.enters("user222", canary, phone.next())
	v.Open("/profile/2fa")
	v.Submit("enrol", "proof", phone.next())
	another := w.scans(v) // the former one is void now
	v = w.enters("user222", canary, another.next())
	v.Submit("sign-out")
	// Typed into the wrong field, it is a name: the broker gets it, and writes it nowhere.
	const mistyped = "Mistyped-velvet-harbour-9"
	v.Submit("sign-in", "username", mistyped, "password", mistyped)
	w.browser.Stop(w.t)
	eventually.Within(w.t, 15*time.Second, "the clear text is in no process", func() bool {
		return len(m.find()) == 0
	})
	w.keepsNone(append(slices.Concat(phone.shown, another.shown), canary, oldPassword, mistyped))
	if limit := strings.TrimSpace(w.Must("systemctl", "show", "-P", "MemorySwapMax", "shadowsync-web.service")); limit != "0" {
		w.t.Errorf("the page may be swapped out: MemorySwapMax is %s", limit)
	}
	w.leavesNoCore(m)
}

// leavesNoCore: a page that is aborted while it holds a password leaves no core.
func (w *site) leavesNoCore(m *insides) {
	w.t.Helper()
	if pattern, err := os.ReadFile("/proc/sys/kernel/core_pattern"); err != nil || strings.ContainsAny(string(pattern[:1]), "|/") {
		w.t.Logf("the kernel, which is the host's, writes cores elsewhere: %q", pattern)
		return
	}
	if a := w.request(w.client(anybody), signIn, url.Values{"username": {"user222"}, "password": {canary}}); a.status >= 400 {
		w.t.Fatalf("status %d", a.status)
	}
	pid := m.process("shadowsync-web")
	if !inMemory(pid) {
		w.t.Fatal("the page does not hold the password: the search is blind")
	}
	m.ends(pid, func() { _ = signal(pid, syscall.SIGABRT) })
	if places := m.find(); len(places) > 0 {
		w.t.Errorf("after an abort the clear text is in %q", places)
	}
}
