package scenes

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/password/crypt"
	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// hostile is a stage whose application an attacker controls.
type hostile struct {
	*stage
	good string // the store's text before the attack
	pid  string // the broker's
}

// besiege sets a stage that also manages root and boss; boss is in group sudo. The
// application is stopped, because these scenes are not about what it does to the OS itself.
func besiege(t *testing.T) *hostile {
	t.Helper()
	s := set(t, machine.Bookworm, machine.Appliance{Accounts: []string{"admin", "user222", "boss"}}, `"user222"`, `"user222", "boss"`)
	s.MustShell("usermod -aG sudo boss && systemctl stop " + machine.ApplianceUnit + " && echo root:Throne-velvet-1 | chpasswd")
	text := s.ReadFile(machine.StorePath)
	text = strings.Replace(text, `"user": [`, fmt.Sprintf(`"user": [ {"name": "root", "password": %q},`, s.ShadowHash("root")), 1) // in the appliance's formatting, since it wrote the store when it stopped
	h := &hostile{stage: s, good: text}
	h.writeStore(text)
	s.MustShell(`sed -i 's/"boss"/"boss", "root"/' /etc/shadowsync/shadowsync.toml && systemctl restart shadowsync.service && shadowsync sync && shadowsync status --check`)
	h.pid = s.brokerPID()
	return h
}

func (h *hostile) writeStore(text string) {
	h.t.Helper()
	h.WriteFile(machine.StorePath+".app", text, 0o600)
	h.MustShell(fmt.Sprintf("chown %[2]s: %[1]s.app && rm -rf %[1]s && mv %[1]s.app %[1]s", machine.StorePath, machine.StoreOwner))
}

// with returns the good store's text with another password field for an account.
func (h *hostile) with(account, field string) string {
	h.t.Helper()
	return strings.Replace(h.good, fmt.Sprintf("%q", h.StoreHash(account)), jsonString(field), 1)
}

// jsonString returns a JSON string in which every character that is not plain ASCII is escaped.
func jsonString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			fmt.Fprintf(&b, `\u%04x`, r)
			continue
		}
		b.WriteRune(r)
	}
	b.WriteByte('"')
	return b.String()
}

// repels asserts that the OS is unchanged, and that status says why.
func (h *hostile) repels(shadow, says string) {
	h.t.Helper()
	said := ""
	h.eventually("status says "+says, machine.Patience, func() bool {
		said = h.Run("shadowsync", "status").Stdout
		return strings.Contains(said, says)
	})
	if r := h.Run("shadowsync", "sync"); r.Code != 4 {
		h.t.Errorf("sync: %s", r)
	}
	if now := h.ReadFile("/etc/shadow"); now != shadow {
		h.t.Errorf("it reached the OS: %s", firstDifference(now, shadow))
	}
	if strings.ContainsFunc(strings.ReplaceAll(said, "\n", ""), func(r rune) bool { return r < ' ' || r == 0x7f }) {
		h.t.Errorf("status prints raw control characters: %q", said)
	}
	if pid := h.brokerPID(); pid != h.pid {
		h.t.Errorf("the broker died: %s, now %s", h.pid, pid)
		h.pid = pid
	}
}

const manyRounds = "$6$rounds=999999999$saltsalt$VdlqHNmVsAzQyLuyPYLSFGzJrkpcj0MyW4Pd9bGsYTTJdNt0kkJeHTfv3lLUPCC5YJnNuqCYjAPTJTkSaBNH5."

// TestHostileStore: an invalid value does not reach the OS, and a valid one in the same store
// does. A file that is not a store holds nobody up.
func TestHostileStore(t *testing.T) {
	t.Parallel()
	h := besiege(t)
	foreign := sha512crypt(t, "Intruder-velvet-1")
	for i, c := range []struct{ name, account, field, says string }{
		{"an empty field", "admin", "", "admin: conflict"},
		{"the marker of a password elsewhere", "admin", "x", "admin: conflict"},
		{"lines of shadow(5)", "admin", "x:\nroot::0:0:99999:7:::", "admin: conflict"},
		{"a colon", "admin", foreign + ":0:0", "admin: conflict"},
		{"control characters", "admin", "\x1b]0;owned\x07\x00\r\n", "admin: conflict"},
		{"clear text", "admin", "Intruder-velvet-1", "admin: conflict"},
		{"a cut hash", "admin", foreign[:40], "admin: conflict"},
		{"a costly hash", "admin", manyRounds, "admin: conflict"},
		{"DES", "admin", "abJnggxhB/yWI", "admin: conflict"},
		{"a hash for root", "root", foreign, "root: conflict"},
		{"a hash for a sudoer", "boss", foreign, "boss: conflict"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &hostile{&stage{T: h.T, t: t}, h.good, h.pid}
			h.writeStore(h.with(c.account, c.field))
			h.repels(h.ReadFile("/etc/shadow"), c.says)
			h.besideIt(i)
			h.insist(c.account)
			h.restore()
		})
	}
	for _, c := range h.hostileFiles() {
		t.Run(c.name, func(t *testing.T) {
			h := &hostile{&stage{T: h.T, t: t}, h.good, h.pid}
			c.make()
			h.repels(h.ReadFile("/etc/shadow"), c.says)
			h.passwdWorks()
			h.restore()
		})
	}
}

// TestSwappedFolder: while the store's folder and a symbolic link to another folder change
// places again and again, nothing is written or read through the link.
func TestSwappedFolder(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{})
	evil := strings.Replace(s.ReadFile(machine.StorePath), s.StoreHash("user222"), sha512crypt(t, "Swapped-velvet-1"), 1)
	s.WriteFile("/srv/evil/user-running.json", evil, 0o600)
	s.MustShell("chown -R " + machine.StoreOwner + ": /srv/evil && ln -s /srv/evil /var/lib/link")
	others := s.bystanders("admin")
	swap := s.Start("sh", "-c", "cd /var/lib; while :; do mv 128technology away; mv link 128technology; sleep 0.03; mv 128technology link; mv away 128technology; sleep 0.03; done")
	for i := range 8 {
		s.passwd("admin", fmt.Sprintf("Swapped-%d-velvet", i))
		s.Run("shadowsync", "sync")
	}
	if err := swap.Stop(); err != nil {
		t.Fatal(err)
	}
	s.MustShell("cd /var/lib; if [ -L 128technology ]; then mv 128technology link; fi; if [ -d away ]; then mv away 128technology; fi")
	if now := s.ReadFile("/srv/evil/user-running.json"); now != evil {
		t.Errorf("something was written beyond the link: %s", firstDifference(now, evil))
	}
	if now := s.bystanders("admin"); now != others {
		t.Errorf("something beyond the link reached the OS: %s", firstDifference(now, others))
	}
	s.eventually("the last password drains into the store", machine.Patience, func() bool { return s.bothOpen("admin", "Swapped-7-velvet") })
}

// insist: not even sync --prefer store takes over such a value.
func (h *hostile) insist(account string) {
	h.t.Helper()
	before := h.ShadowHash(account)
	r := h.Run("shadowsync", "sync", account, "--prefer", "store")
	if r.Code == 0 || h.ShadowHash(account) != before {
		h.t.Errorf("sync --prefer store: %s", r)
	}
}

// hostileFile is a file that is not a store.
type hostileFile struct {
	name string
	make func()
	says string
}

func (h *hostile) hostileFiles() []hostileFile {
	text := func(text string) func() { return func() { h.writeStore(text) } }
	shell := func(script string) func() {
		return func() { h.MustShell("cd /var/lib/128technology && " + script) }
	}
	store := filepath.Base(machine.StorePath)
	return []hostileFile{
		{"nothing in it", text(""), "there is no \"datastore\""},
		{"no object", text("null"), "there is no \"datastore\""},
		{"cut in the middle", text(h.good[:len(h.good)/2]), "is missing"},
		{"a field of a megabyte", text(h.with("admin", strings.Repeat("$6$", 350_000))), "is not a string of at most 4096 bytes"},
		{"depth 100,000", text(strings.Repeat(`{"datastore":[`, 50_000) + strings.Repeat("]}", 50_000)), "nested deeper than 64"},
		{"depth 100,000 beside the users", text(strings.Replace(h.good, "null", strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000), 1)), "nested deeper than 64"},
		{"100 MB", shell("truncate -s 100M " + store), "more than the 33554432 that are read"},
		{"100 MB of users", shell("yes '{\"name\":\"admin\",\"password\":\"\"},' | head -c 104857600 > " + store), "more than the 33554432 that are read"},
		{"a link to /etc/shadow", shell("ln -sf /etc/shadow " + store), "is a symbolic link"},
		{"a FIFO", shell("rm " + store + " && mkfifo " + store + " && chown " + machine.StoreOwner + ": " + store), "is not a regular file"},
		{"a device", func() {
			h.MustShell("rm " + machine.StorePath)
			if err := unix.Mknod(h.Root()+machine.StorePath, unix.S_IFCHR|0o644, int(unix.Mkdev(1, 5))); err != nil {
				h.t.Fatal(err)
			}
		}, "is not a regular file"},
		{"a folder", shell("rm " + store + " && mkdir " + store), "is not a regular file"},
	}
}

// passwdWorks: an application cannot prevent root's passwd.
func (h *hostile) passwdWorks() {
	h.t.Helper()
	password := "Siege-" + strings.ReplaceAll(filepath.Base(h.t.Name()), "_", "-")
	began := time.Now()
	said := h.answered("admin", password)
	if took := time.Since(began); took > 6*time.Second { // enough for two tries
		h.t.Errorf("passwd took %v", took)
	}
	if !strings.Contains(said, "shadowsync: admin: NOT persisted") {
		h.t.Errorf("passwd said %q", said)
	}
	if ok, err := crypt.Verify(h.ShadowHash("admin"), []byte(password)); err != nil || !ok {
		h.t.Errorf("the password is not set: %v", err)
	}
}

// besideIt: the application sets a valid password of another account, which is applied.
func (h *hostile) besideIt(i int) {
	h.t.Helper()
	hash := sha512crypt(h.t, fmt.Sprintf("Beside-%d-velvet", i))
	h.swapStore(h.StoreHash("user222"), hash)
	h.eventually("the other account's password is applied", machine.Patience, func() bool { return h.ShadowHash("user222") == hash })
}

// restore: the application writes the good store again.
func (h *hostile) restore() {
	h.t.Helper()
	h.writeStore(h.good)
	h.eventually("all is in sync again", machine.Patience, func() bool { return h.Run("shadowsync", "status", "--check").Code == 0 })
	h.good = h.ReadFile(machine.StorePath)
}
