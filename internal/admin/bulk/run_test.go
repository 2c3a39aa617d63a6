package bulk

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine/enginetest"
	"github.com/shadowsync/shadowsync/internal/password/crypt"
	"github.com/shadowsync/shadowsync/internal/password/scheme"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// listener is a ledger that keeps what it is told.
type listener struct {
	room     error // the answer about room
	begun    int
	prepared atomic.Int64
	fates    map[string]Fate   // by label
	secrets  map[string][]byte // copies of what was shown, by name
	notes    []error
	rest     []*Job
}

func (l *listener) Begin(accounts int) {
	l.begun, l.fates, l.secrets = accounts, map[string]Fate{}, map[string][]byte{}
}
func (l *listener) Prepared()         { l.prepared.Add(1) }
func (l *listener) Room([]*Job) error { return l.room }
func (l *listener) Stuck() bool       { return l.room != nil }
func (l *listener) Finish(rest []*Job) {
	l.rest = rest
}

func (l *listener) Note(err error) {
	if err != nil {
		l.notes = append(l.notes, err)
	}
}

func (l *listener) Add(jobs []*Job) {
	for _, j := range jobs {
		l.fates[j.Label()], l.secrets[j.Name] = j.Fate, bytes.Clone(j.Secret)
	}
}

// run carries a verb out on a system with one account, "user".
func run(ctx context.Context, t *testing.T, s *enginetest.System, v Verb, l *listener, targets ...Target) []config.Application {
	t.Helper()
	uid := 0
	r := New(v, Options{
		Engine: s.Engine, Ledger: l, BatchTime: time.Second, Origin: shadowsync.Origin{At: time.Now(), By: "root", UID: &uid, SeenBy: shadowsync.SeenByTool},
		Action: func(error) string { return "failed" },
	})
	changed, err := r.Do(ctx, targets)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

// TestOneFailureStopsNoOther: each target has its own result, and a line that names no managed
// account, which may hold a password in the wrong place, is repeated nowhere.
func TestOneFailureStopsNoOther(t *testing.T) {
	s, l := enginetest.Open(t, ""), &listener{}
	fault := errors.New("a fault")
	changed := run(t.Context(), t, s, Lock(false), l,
		Target{Name: "nobody"}, Target{Name: "hunter2", Line: 7}, Target{Line: 8, Fault: fault}, Target{Name: "user"})
	if len(changed) != 1 || changed[0].Name != "app" || l.begun != 1 || l.prepared.Load() != 1 || len(l.fates) != 4 || len(l.rest) != 0 {
		t.Errorf("changed %v, begun %d, prepared %d, %d fates, %d not reached", changed, l.begun, l.prepared.Load(), len(l.fates), len(l.rest))
	}
	if err := l.fates["nobody"].Err; !errors.As(err, new(*config.UnmanagedError)) {
		t.Errorf("an account that nobody manages: %v", err)
	}
	if err := l.fates["line 7"].Err; !errors.Is(err, shadowsync.ErrNoAccount) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a line that names none: %v", err)
	}
	if err := l.fates["line 8"].Err; !errors.Is(err, fault) {
		t.Errorf("a line with a fault: %v", err)
	}
	if f := l.fates["user"]; !f.Done || f.Outcome.State != shadowsync.InSync {
		t.Errorf("the account: %+v", f)
	}
	s.Holds("!"+enginetest.FormerHash, "!"+enginetest.FormerHash)
	if !s.Audited("failed", "no application manages that account") || s.Audited("failed", "hunter2") {
		t.Error("the attempts are not on record as they should be")
	}
}

// TestGeneratedPassword: it is shown while it is in force on both sides, and wiped then.
func TestGeneratedPassword(t *testing.T) {
	s, l := enginetest.Open(t, ""), &listener{}
	run(t.Context(), t, s, ResetPassword(Reset{}, s.Config.Password), l, Target{Name: "user"})
	shown := l.secrets["user"]
	if ok, err := crypt.Verify(s.Present().Hash, shown); len(shown) != 32 || !ok || err != nil {
		t.Errorf("%d bytes were shown; they open the account: %v, %v", len(shown), ok, err)
	}
	if ok, err := crypt.Verify(s.Held.Records["user"].Hash, shown); !ok || err != nil {
		t.Errorf("they open the store's: %v, %v", ok, err)
	}
}

// TestPasswordForAnOwnScheme: a store with a hash scheme of its own gets a hash of the same password, in
// the cost of the one that it has.
func TestPasswordForAnOwnScheme(t *testing.T) {
	mosquitto, err := scheme.Find("mosquitto")
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		verb  func(config.Password) Verb
		token string
	}{
		"given":     {SetPassword, "velvet-hammer"},
		"generated": {func(c config.Password) Verb { return ResetPassword(Reset{}, c) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, l := enginetest.OpenOwn(t, ""), &listener{}
			before, err := mosquitto.Make([]byte("before"), "user", "", 1234)
			if err != nil {
				t.Fatal(err)
			}
			s.Held.Records["user"] = shadowsync.Credential{Hash: before}
			target := Target{Name: "user"}
			if tc.token != "" {
				target.Token = []byte(tc.token)
			}
			run(t.Context(), t, s, tc.verb(s.Config.Password), l, target)
			secret := cmp.Or(tc.token, string(l.secrets["user"]))
			value := s.Held.Records["user"].Hash
			if ok, err := mosquitto.Verify(value, []byte(secret), "user"); !ok || err != nil || !strings.HasPrefix(value, "$7$1234$") {
				t.Errorf("the store holds %q: %v, %v", value, ok, err)
			}
			if ok, err := crypt.Verify(s.Present().Hash, []byte(secret)); !ok || err != nil || l.fates["user"].Outcome.State != shadowsync.InSync {
				t.Errorf("the OS has it: %v, %v; %+v", ok, err, l.fates["user"])
			}
		})
	}
}

// TestSecretsAreWiped: neither a given nor a generated clear text outlives its job.
func TestSecretsAreWiped(t *testing.T) {
	s := enginetest.Open(t, "")
	for name, v := range map[string]Verb{"given": SetPassword(s.Config.Password), "generated": ResetPassword(Reset{}, s.Config.Password)} {
		l := &keeping{}
		target := Target{Name: "user"}
		if !v.Generates {
			target.Token = []byte("given-to-the-run")
		}
		r := New(v, Options{Engine: s.Engine, Ledger: l, BatchTime: time.Second, Action: func(error) string { return "failed" }})
		if _, err := r.Do(t.Context(), []Target{target}); err != nil || len(l.jobs) != 1 || !l.jobs[0].Fate.Done {
			t.Fatalf("%s: %v, %+v", name, err, l.jobs)
		}
		left := append(l.jobs[0].Token, l.jobs[0].Secret...)
		if len(left) == 0 || !bytes.Equal(left, make([]byte, len(left))) {
			t.Errorf("%s: left %q", name, left)
		}
	}
}

// keeping is a ledger that keeps the jobs themselves.
type keeping struct {
	listener
	jobs []*Job
}

func (k *keeping) Add(jobs []*Job) {
	k.listener.Add(jobs)
	k.jobs = append(k.jobs, jobs...)
}

// TestNothingIsSetThatCannotBeShown: without room for the new password the old one stays.
func TestNothingIsSetThatCannotBeShown(t *testing.T) {
	s, l := enginetest.Open(t, ""), &listener{room: errors.New("no space")}
	changed := run(t.Context(), t, s, ResetPassword(Reset{}, s.Config.Password), l, Target{Name: "user"})
	if f := l.fates["user"]; f.Done || !errors.Is(f.Err, l.room) || len(changed) != 0 {
		t.Errorf("fate %+v, changed %v", f, changed)
	}
	s.Holds(enginetest.FormerHash, enginetest.FormerHash)
}

// TestInterruptedBefore: what was not reached is unchanged, and told so.
func TestInterruptedBefore(t *testing.T) {
	s, l := enginetest.Open(t, ""), &interrupted{}
	ctx, cancel := context.WithCancel(t.Context())
	l.interrupt = cancel
	r := New(Lock(false), Options{Engine: s.Engine, Ledger: l, BatchTime: time.Second, Action: func(error) string { return "failed" }})
	changed, err := r.Do(ctx, []Target{{Name: "user"}})
	if err != nil || len(changed) != 0 || len(l.rest) != 1 || len(l.notes) != 1 || !errors.Is(l.notes[0], context.Canceled) {
		t.Errorf("%v; changed %v, %d not reached, notes %v", err, changed, len(l.rest), l.notes)
	}
	s.Holds(enginetest.FormerHash, enginetest.FormerHash)
}

// interrupted is a ledger that ends the context as soon as the work begins.
type interrupted struct {
	listener
	interrupt func()
}

func (i *interrupted) Begin(accounts int) {
	i.listener.Begin(accounts)
	i.interrupt()
}
