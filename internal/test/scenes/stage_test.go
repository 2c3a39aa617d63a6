package scenes

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/password/crypt"
	"github.com/shadowsync/shadowsync/internal/password/crypt/format"
	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// stage is a machine with the appliance, on which shadowsync is set up.
type stage struct {
	*machine.T
	t *testing.T
}

// set boots a machine with the appliance, installs shadowsync and runs setup.
func set(t *testing.T, release machine.Release, appliance machine.Appliance, edits ...string) *stage {
	t.Helper()
	return setOn(t, machine.Boot(t, release), appliance, edits...)
}

// setOn is set on a machine that was booted.
func setOn(t *testing.T, m *machine.T, appliance machine.Appliance, edits ...string) *stage {
	t.Helper()
	m.InstallAppliance(appliance)
	m.InstallShadowsync()
	m.Configure(edits...)
	m.Must("shadowsync", "setup", "--first", "os")
	return &stage{T: m, t: t}
}

// passwd sets a password as root, as after the old one was lost, and returns what passwd printed.
func (s *stage) passwd(account, password string) string {
	s.t.Helper()
	r := s.Input(password+"\n"+password+"\n").Run("passwd", account)
	if r.Code != 0 {
		s.t.Fatalf("passwd %s: %s", account, r)
	}
	return r.Stdout + r.Stderr
}

// answered is passwd with an answer of the broker. Where the machine is too slow for one in time, passwd says that
// the change is queued: then the password is set again.
func (s *stage) answered(account, password string) string {
	s.t.Helper()
	said, _ := s.answeredIn(account, password)
	return said
}

// answeredIn is answered, and how long the last passwd took.
func (s *stage) answeredIn(account, password string) (said string, took time.Duration) {
	s.t.Helper()
	s.WaitFor("an answer of the broker", machine.Patience, func() bool {
		s.askAgain()
		began := time.Now()
		said = s.passwd(account, password)
		took = time.Since(began)
		return strings.Contains(said, "shadowsync: ") && !strings.Contains(said, ": queued (")
	})
	return said, took
}

// answeredByStore is answered, with an answer of the store. Where the machine is too slow for one in time, the
// password is set again.
func (s *stage) answeredByStore(account, password string) (said string) {
	s.t.Helper()
	s.WaitFor("an answer of the store", machine.Patience, func() bool {
		said = s.answered(account, password)
		return !strings.Contains(said, "no answer in time")
	})
	return said
}

// persists is passwd that says that these stores have the password.
func (s *stage) persists(account, password, stores string) (said string) {
	s.t.Helper()
	said = s.answeredByStore(account, password)
	s.says(said, "shadowsync: "+account+": persisted in "+stores+" credential store")
	return said
}

// hashed makes a sha512crypt hash of a password, to set it past PAM.
func (s *stage) hashed(password string) string {
	s.t.Helper()
	hash, err := crypt.Generate(format.SHA512, []byte(password))
	if err != nil {
		s.t.Fatal(err)
	}
	return hash
}

// restart restarts the appliance; systemctl returns when the appliance has rewritten the OS.
func (s *stage) restart() {
	s.t.Helper()
	s.Must("systemctl", "restart", machine.ApplianceUnit)
}

// opens asserts that the password right logs in, and that wrong does not.
func (s *stage) opens(account, right, wrong string) {
	s.t.Helper()
	if !s.Login(account, right) {
		s.t.Errorf("%s cannot log in with the last password set (%q)", account, right)
	}
	if wrong != "" && s.Login(account, wrong) {
		s.t.Errorf("%s still logs in with the password before it (%q)", account, wrong)
	}
}

// inStore asserts that the store holds what the OS holds.
func (s *stage) inStore(account string) {
	s.t.Helper()
	if os, store := s.ShadowHash(account), s.StoreHash(account); os != store {
		s.t.Errorf("%s: the OS holds %.12q and the store %.12q", account, os, store)
	}
}

// eventually polls until the condition holds. If it does not, it shows the status.
func (s *stage) eventually(what string, within time.Duration, holds func() bool) {
	s.t.Helper()
	held := false
	defer func() {
		if !held {
			s.t.Logf("%s", s.Run("shadowsync", "status"))
		}
	}()
	s.WaitFor(what, within, func() bool { held = holds(); return held })
}

// account is an account in `status --json`.
type account struct {
	Name         string  `json:"name"`
	State        string  `json:"state"`
	Reason       *string `json:"reason"`
	PendingSince *string `json:"pending_since"`
	LastChange   *struct {
		At      string `json:"at"`
		SeenBy  string `json:"seen_by"`
		By      string `json:"by"`
		Program string `json:"program"`
	} `json:"last_change"`
}

// application is an application in `status --json`.
type application struct {
	Name      string    `json:"name"`
	Unit      string    `json:"unit"`
	UnitState string    `json:"unit_state"`
	Guard     string    `json:"guard"`
	Lapsed    []string  `json:"guard_lapsed"`
	Accounts  []account `json:"accounts"`
}

// applications returns the entries of status, by their names.
func (s *stage) applications() map[string]application {
	s.t.Helper()
	var all struct {
		Applications []application `json:"applications"`
	}
	out := s.Run("shadowsync", "status", "--json")
	if err := json.Unmarshal([]byte(out.Stdout), &all); err != nil {
		s.t.Fatalf("status --json: %v\n%s", err, out)
	}
	named := map[string]application{}
	for _, a := range all.Applications {
		named[a.Name] = a
	}
	return named
}

// status is the only entry of status.
func (s *stage) status() application {
	s.t.Helper()
	all := slices.Collect(maps.Values(s.applications()))
	if len(all) != 1 {
		s.t.Fatalf("the status has %d entries: %+v", len(all), all)
	}
	return all[0]
}

func (s *stage) state(name string) account {
	s.t.Helper()
	for _, a := range s.status().Accounts {
		if a.Name == name {
			return a
		}
	}
	s.t.Fatalf("no %s in the status", name)
	return account{}
}

// event is a record in `audit --json`.
type event struct {
	Account string `json:"account"`
	Action  string `json:"action"`
	Reason  string `json:"reason"`
	Result  string `json:"result"`
	Origin  struct {
		SeenBy   string `json:"seen_by"`
		By       string `json:"by"`
		Login    string `json:"login"`
		Program  string `json:"program"`
		Terminal string `json:"terminal"`
		Verb     string `json:"verb"`
	} `json:"origin"`
}

func (s *stage) audit(account string) []event {
	s.t.Helper()
	var all struct {
		Events []event `json:"events"`
	}
	out := s.Must("shadowsync", "audit", "--json", "--user", account)
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		s.t.Fatalf("audit --json: %v\n%s", err, out)
	}
	return all.Events
}

// onTime leaves out the records that come after the answer to a passwd, perhaps after the test has
// counted the records before its next step: the end of sessions and a review of root's password.
func onTime(events []event) []event {
	return slices.DeleteFunc(events, func(e event) bool { return e.Action == "logged-out" || e.Action == "judged" })
}

// field is a field of the account's line in shadow(5), counted from 1.
func (s *stage) field(account string, n int) string {
	s.t.Helper()
	for line := range strings.Lines(s.ReadFile("/etc/shadow")) {
		if f := strings.Split(strings.TrimSpace(line), ":"); f[0] == account {
			return f[n-1]
		}
	}
	s.t.Fatalf("no %s in /etc/shadow", account)
	return ""
}

// sub runs a part of a scene on the same machine as a subtest.
func (s *stage) sub(name string, part func(s *stage)) {
	s.t.Helper()
	s.t.Run(name, func(t *testing.T) { part(&stage{T: s.T, t: t}) })
}

// opensHash reports whether a hash is of this password.
func (s *stage) opensHash(hash, password string) bool {
	s.t.Helper()
	right, err := crypt.Verify(hash, []byte(password))
	if err != nil {
		s.t.Fatalf("cannot verify %.12q: %v", hash, err)
	}
	return right
}
