package scenes

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/internal/test/machine"
	"github.com/shadowsync/shadowsync/shadowsync"
)

var crowdsReset = regexp.MustCompile("Password for user `(u\\d+)` reset to `([A-Za-z0-9_-]{32})`\r?\n")

// dying is the tool with fault points. Its batches are shorter, so that the accounts need
// several of them.
const dying = "/usr/local/sbin/shadowsync-dying"

// generated: generated passwords, which only the output contains. The command is interrupted by
// Ctrl-C, by kill -9 at every step of the second batch, and by a reader that closes its output.
func (c multitude) generated() {
	c.CopyIn(withFaultPoints(c.t), dying, 0o755)
	c.rounds(1000)
	c.MustShell(fmt.Sprintf("seq 0 %d | sed s/^/u/ > /root/names; systemctl stop shadowsync.service shadowsync.socket shadowsync-operator.socket", crowdSize-1))
	a := resets{multitude: c, told: map[string]string{}, seen: map[string]bool{}}
	a.interrupted()
	const again, batches = " user reset password --from /root/names", "SHADOWSYNC_BATCH=500ms "
	for _, step := range shadowsync.Steps {
		changed, _ := a.run(137, batches+"SHADOWSYNC_FAULT="+string(step)+"@1 "+dying+again)
		if whole := step == shadowsync.StepLoggedOut; changed == 0 || (changed == crowdSize) != whole { // this step comes after the last batch
			c.t.Errorf("killed at %s of the second batch: %d accounts are new", step, changed)
		}
	}
	changed, said := a.run(1, "set -o pipefail; "+batches+dying+again+" | "+shortReader)
	if unseen := strings.Count(said, "cannot show the new password of"); unseen == 0 || unseen >= changed || changed == crowdSize {
		c.t.Errorf("an output that is closed: %d accounts are new, %d are named as unseen", changed, unseen)
	}
	a.run(0, "shadowsync"+again)
	if len(a.seen) < 2*crowdSize || len(a.told) != crowdSize {
		c.t.Errorf("%d passwords were told, the last of %d accounts", len(a.seen), len(a.told))
	}
	c.MustShell("systemctl start shadowsync.socket shadowsync-operator.socket shadowsync.service")
	c.holds(a.told)
	if !c.Login("u4", a.told["u4"]) {
		c.t.Error("the password that was told last opens no login")
	}
	if c.Shell("journalctl --sync; journalctl --no-pager | grep -qF -e "+a.told["u4"]).Code == 0 || strings.Contains(c.Must("shadowsync", "audit", "--json"), a.told["u4"]) {
		c.t.Error("a generated password is in the journal or the audit")
	}
}

// shortReader reads 100 lines and ends. Its pipe is too small for a batch, so the tool is still
// writing one when the reader ends.
const shortReader = `perl -e 'fcntl(STDIN, 1031, 4096) or die; for (1..100) { print scalar <STDIN> }'` // 1031: F_SETPIPE_SZ, fcntl(2)

// resets are runs of reset password. told has the present password of each account, if it was
// printed; seen has every password that was ever printed.
type resets struct {
	multitude
	told map[string]string
	seen map[string]bool
}

// interrupted: Ctrl-C in the second batch.
func (c resets) interrupted() {
	before := c.hashes()
	said := c.cut("Password for user `u0` reset", "env", "SHADOWSYNC_BATCH=500ms", dying, "user", "reset", "password", "--from", "/root/names")
	if strings.Contains(said, "^C") {
		c.t.Error("the key is shown, and may be in the midst of a password")
	}
	c.learn(said)
	c.oldOrNew(said, before, c.told)
	c.holds(c.told)
}

// run runs a script that resets passwords, and then finishes its work. It returns how many
// accounts have a new password, which must be those that the audit names, and the errors printed.
func (c resets) run(status int, script string) (changed int, said string) {
	c.t.Helper()
	before, begin := c.hashes(), time.Now()
	r := c.Within(5*machine.Patience).Run("bash", "-c", script)
	c.t.Logf("%s: %v", script, time.Since(begin).Round(time.Millisecond))
	if r.Code != status {
		c.t.Errorf("%s: exit %d, %.2000s", script, r.Code, r.Stderr)
	}
	c.Must("shadowsync", "sync", "--quiet")
	recorded := c.recorded(begin)
	for name, hash := range c.hashes() {
		fresh := hash != before[name]
		if fresh != recorded[name] {
			c.t.Errorf("%s has a new password: %v, and the audit says: %v", name, fresh, recorded[name])
		}
		if fresh {
			delete(c.told, name) // unknown, unless the output below has it
			changed++
		}
	}
	c.learn(r.Stdout)
	c.holds(c.told)
	return changed, r.Stderr
}

// learn takes the passwords from a command's output.
func (c resets) learn(said string) {
	c.t.Helper()
	for _, line := range crowdsReset.FindAllStringSubmatch(said, -1) {
		if c.seen[line[2]] {
			c.t.Errorf("%s: a password was told twice", line[1])
		}
		c.seen[line[2]], c.told[line[1]] = true, line[2]
	}
}

// recorded returns the accounts that, by the audit, have got a generated password on both sides since a time.
func (c resets) recorded(since time.Time) map[string]bool {
	c.t.Helper()
	var all struct {
		Events []event `json:"events"`
	}
	if err := json.Unmarshal([]byte(c.Must("shadowsync", "audit", "--json", "--since", since.Format(time.RFC3339Nano))), &all); err != nil {
		c.t.Fatal(err)
	}
	names := map[string]bool{}
	for _, e := range all.Events {
		if e.Result == "in-sync" && e.Origin.Verb == "reset password" {
			names[e.Account] = true
		}
	}
	return names
}
