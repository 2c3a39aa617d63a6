package scenes

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/shadowsync/shadowsync/internal/password/crypt"
	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// crowdSize accounts u0, u1 ... are managed besides the appliance's usual two.
const crowdSize = 5000

// multitude is a machine whose appliance has thousands of accounts. The appliance does not run,
// because it would rewrite them one after the other for a minute.
type multitude struct {
	*stage
	proven map[string]string // by account: the hash and the password that were compared last
}

func peopled(t *testing.T) multitude {
	t.Helper()
	s := set(t, machine.Bookworm, machine.Appliance{})
	s.MustShell(fmt.Sprintf(`systemctl stop 128T.service shadowsync.service shadowsync.socket
seq 0 %[1]d | awk '{ print "u" $1 ":x:" 20000 + $1 ":20000::/:/bin/sh" }' >> /etc/passwd
hash=$(awk -F: '$1 == "admin" { print $2 }' /etc/shadow)
seq 0 %[1]d | awk -v h="$hash" '{ print "u" $1 ":" h ":19000:0:99999:7:::" }' >> /etc/shadow`, crowdSize-1))
	var names, users strings.Builder
	hash := s.ShadowHash("admin")
	for i := range crowdSize {
		fmt.Fprintf(&names, ", \"u%d\"", i)
		fmt.Fprintf(&users, "\n{\"name\":\"u%d\",\"password\":%q},", i, hash)
	}
	store := s.ReadFile(machine.StorePath) // the appliance wrote it in its own format when it stopped
	list := regexp.MustCompile(`"user"\s*:\s*\[`).FindString(store)
	s.WriteFile(machine.StorePath, strings.Replace(store, list, list+users.String(), 1), 0o600)
	s.Configure(`"user222"]`, `"user222"`+names.String()+"]")
	s.Within(5 * machine.Patience).MustShell("shadowsync sync --quiet && systemctl start shadowsync.socket shadowsync.service")
	return multitude{s, map[string]string{}}
}

// rounds sets the cost of new hashes.
func (c multitude) rounds(n int) {
	c.t.Helper()
	c.MustShell(fmt.Sprintf(`sed -i 's/\(pam_unix.so.*\) \(yescrypt\|sha512.*\)$/\1 sha512 rounds=%d/' /etc/pam.d/common-password && grep -q rounds=%[1]d /etc/pam.d/common-password`, n))
}

// list writes a file with a password for each account, and returns them.
func (c multitude) list(path string) map[string]string {
	c.t.Helper()
	passwords := make(map[string]string, crowdSize)
	var lines strings.Builder
	for i := range crowdSize {
		name := fmt.Sprintf("u%d", i)
		passwords[name] = fmt.Sprintf("Velvet-%d-quorum", i)
		fmt.Fprintf(&lines, "%s:%s\n", name, passwords[name])
	}
	c.WriteFile(path, lines.String(), 0o600)
	return passwords
}

// stored are the hashes in the appliance's store.
func (c multitude) stored() map[string]string {
	c.t.Helper()
	var file struct {
		Datastore struct {
			Config struct {
				Authority struct {
					Router []struct {
						User []struct{ Name, Password string }
					}
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(c.ReadFile(machine.StorePath)), &file); err != nil {
		c.t.Fatal(err)
	}
	hashes := make(map[string]string, crowdSize)
	for _, u := range file.Datastore.Config.Authority.Router[0].User {
		hashes[u.Name] = u.Password
	}
	return hashes
}

var crowdLine = regexp.MustCompile(`(?m)^(u\d+):([^:]*):.*\n`)

// hashes returns the accounts' hashes in shadow(5), and asserts that the store holds the same.
func (c multitude) hashes() map[string]string {
	c.t.Helper()
	hashes := make(map[string]string, crowdSize)
	for _, line := range crowdLine.FindAllStringSubmatch(c.ReadFile("/etc/shadow"), -1) {
		hashes[line[1]] = line[2]
	}
	if len(hashes) != crowdSize {
		c.t.Fatalf("%d accounts in shadow(5)", len(hashes))
	}
	stored, apart := c.stored(), 0
	for name, hash := range hashes {
		if stored[name] != hash {
			apart++
		}
	}
	if apart > 0 {
		c.t.Errorf("OS and store hold different hashes of %d accounts", apart)
	}
	return hashes
}

// holds asserts that the accounts have these passwords.
func (c multitude) holds(passwords map[string]string) {
	c.t.Helper()
	hashes := c.hashes()
	var wrong atomic.Int64
	var wg sync.WaitGroup
	limit := make(chan struct{}, runtime.NumCPU())
	for name, password := range passwords {
		if proof := hashes[name] + " " + password; c.proven[name] != proof {
			c.proven[name] = proof
			limit <- struct{}{}
			wg.Go(func() {
				if right, err := crypt.Verify(hashes[name], []byte(password)); err != nil || !right {
					wrong.Add(1)
				}
				<-limit
			})
		}
	}
	wg.Wait()
	if n := wrong.Load(); n > 0 {
		c.t.Errorf("%d of %d accounts do not have the last password that was told", n, len(passwords))
	}
}

// TestBulk: thousands of passwords from a file; the command is interrupted in every way and run
// again. Each account has its old or its new password, the same on both sides; the output is
// true; and no generated password is printed twice.
func TestBulk(t *testing.T) {
	t.Parallel()
	for name, part := range map[string]func(multitude){
		"Ctrl-C":              multitude.interrupted,
		"generated passwords": multitude.generated,
		"lists": func(c multitude) {
			c.listed()
			c.badLines()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := peopled(t)
			others := crowdLine.ReplaceAllString(c.ReadFile("/etc/shadow"), "")
			part(c)
			if crowdLine.ReplaceAllString(c.ReadFile("/etc/shadow"), "") != others {
				t.Error("lines of other accounts changed")
			}
			c.Must("shadowsync", "audit", "--verify")
		})
	}
}

// badLines: each kind of mistake has its exit status, and the other lines still succeed.
func (c multitude) badLines() {
	c.rounds(1000)
	for _, r := range []struct {
		lines  string
		status int
		says   string
	}{
		{"u0:Velvet-0-basalt\n\nu1:Velvet-1-basalt\n", 0, "2 accounts: 2 in sync"},
		{"u0:Velvet-0-gneiss\nHidden-without-colon\n", 2, "line 2: a line must be"},
		{"Hidden-ghost:Hidden-4711\nu0:Velvet-0-marble\n", 5, "line 1: no application manages that account"},
		{"u0:abc\nu1:Velvet-1-marble\n", 6, "2 accounts: 1 in sync, 1 failed"},
		{"u0:Hidden-before\nu0:Velvet-0-slate\n", 0, "a later line names the same account: 1"},
	} {
		said := c.Input(r.lines).Run("shadowsync", "user", "set", "password", "--from", "-")
		if said.Code != r.status || !strings.Contains(said.Stderr, r.says) || strings.Contains(said.Stdout+said.Stderr, "Hidden") {
			c.t.Errorf("%q: %s", r.lines, said)
		}
	}
	c.holds(map[string]string{"u0": "Velvet-0-slate", "u1": "Velvet-1-marble"})
	if r := c.Run("shadowsync", "user", "reset", "password", "--from", "/nowhere"); r.Code != 1 {
		c.t.Errorf("a list that is not there: %s", r)
	}
	if trail := c.Must("shadowsync", "audit", "--json"); strings.Contains(trail, "Hidden") {
		c.t.Error("what stood on a wrong line is in the audit")
	}
	c.storeAway()
}

// storeAway: accounts that the store cannot take are reported as pending, and reach the store by themselves.
func (c multitude) storeAway() {
	c.t.Helper()
	c.Must("mount", "--bind", "-o", "ro", "/var/lib/128technology", "/var/lib/128technology")
	r := c.Input("u0:Velvet-0-tuff\nu1:Velvet-1-tuff\n").Run("shadowsync", "user", "set", "password", "--from", "-")
	if r.Code != 3 || !strings.Contains(r.Stderr, "2 accounts: 0 in sync, 2 pending on the store's side") {
		c.t.Errorf("a store that is read-only: %s", r)
	}
	c.Must("umount", "--lazy", "/var/lib/128technology") // the daemon may be reading there
	c.eventually("what was pending is in the store", machine.Patience, func() bool { return c.state("u1").State == "in-sync" })
	c.holds(map[string]string{"u0": "Velvet-0-tuff", "u1": "Velvet-1-tuff"})
}

var (
	setLine   = regexp.MustCompile("Password for user `(u\\d+)` set\r?\n")
	unreached = regexp.MustCompile(`(\d+) accounts: (\d+) in sync, (\d+) not tried and unchanged`)
)

// interrupted: Ctrl-C while the second batch is being hashed. On one processor, and with
// costly hashes, the work takes longer than one batch.
func (c multitude) interrupted() {
	c.rounds(20000)
	passwords, before := c.list("/root/list"), c.hashes()
	said := c.cut("Password for user `u0` set", "taskset", "-c", "0", "shadowsync", "user", "set", "password", "--from", "/root/list")
	told := map[string]string{}
	for _, line := range setLine.FindAllStringSubmatch(said, -1) {
		told[line[1]] = passwords[line[1]]
	}
	c.oldOrNew(said, before, told)
	c.rounds(1000)
	if r := c.Within(5*machine.Patience).Run("shadowsync", "user", "set", "password", "--from", "/root/list"); r.Code != 0 || !strings.Contains(r.Stderr, fmt.Sprintf("%[1]d accounts: %[1]d in sync", crowdSize)) {
		c.t.Errorf("run again: exit %d, %.2000s", r.Code, r.Stderr)
	}
	c.holds(passwords)
}

// outOfLock lists the tool's memory that may be swapped while the tool holds many passwords: it
// is neither locked nor droppable (as the C library's random numbers are).
const outOfLock = `awk '/^[0-9a-f]+-/ { range = $1; inode = $5; name = $6 } /^Rss:/ { resident = $2 }
/^VmFlags:/ && inode == 0 && resident > 0 && name !~ /^\[v/ && !/ (lo|dp)( |$)/ { print range, name, resident, "kB" }' \
"/proc/$(pgrep -xf '[^ ]*shadowsync[^ ]* user .*')/smaps"`

// cut types Ctrl-C once a command has printed a text, and returns all its output.
func (c multitude) cut(at string, command ...string) string {
	c.t.Helper()
	d := c.Terminal(command...)
	d.Expect(at, 2*machine.Patience)
	if out := c.MustShell(outOfLock); out != "" {
		c.t.Errorf("%q has memory that may be swapped:\n%s", command, out)
	}
	d.Send("\x03")
	if code := d.Ended(machine.Patience); code != 130 {
		c.t.Errorf("%q ended with status %d", command, code)
	}
	return d.Transcript()
}

// oldOrNew asserts that exactly the accounts that the output names have another hash than
// before, and that the sum at the end agrees.
func (c multitude) oldOrNew(said string, before, told map[string]string) {
	c.t.Helper()
	for name, hash := range c.hashes() {
		if _, done := told[name]; done != (hash != before[name]) {
			c.t.Errorf("%s changed: %v, and is told of as changed: %v", name, hash != before[name], done)
		}
	}
	sum := unreached.FindStringSubmatch(strings.Join(strings.Fields(said), " ")) // the terminal's width breaks it anywhere between words
	want := []string{strconv.Itoa(crowdSize), strconv.Itoa(len(told)), strconv.Itoa(crowdSize - len(told))}
	if len(told) == 0 || len(told) == crowdSize || sum == nil || strings.Join(sum[1:], " ") != strings.Join(want, " ") {
		c.t.Errorf("the sum is %q, want %q", sum, want)
	}
	c.Must("shadowsync", "status", "--check", "--quiet")
}

// withFaultPoints builds a shadowsync that kills itself at the step of a reconcile that
// SHADOWSYNC_FAULT names.
func withFaultPoints(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "shadowsync")
	build := exec.Command("go", "build", "-trimpath", "-buildmode=pie", "-tags", "faultpoints", "-o", program, "../../../cmd/shadowsync")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build with fault points: %v\n%s", err, out)
	}
	return program
}
