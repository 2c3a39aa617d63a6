package hook

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/store"
	"github.com/shadowsync/shadowsync/internal/test/eventually"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/systemd"
)

const (
	oldHash = "$6$abcdefgh$VdlqHNmVsAzQyLuyPYLSFGzJrkpcj0MyW4Pd9bGsYTTJdNt0kkJeHTfv3lLUPCC5YJnNuqCYjAPTJTkSaBNH5."
	newHash = "$6$ijklmnop$VdlqHNmVsAzQyLuyPYLSFGzJrkpcj0MyW4Pd9bGsYTTJdNt0kkJeHTfv3lLUPCC5YJnNuqCYjAPTJTkSaBNH5."
)

// database is a credential store in memory, which may be missing or hang.
type database struct {
	mu    sync.Mutex
	hash  string
	gone  bool
	hangs bool
	lacks bool // it does not have the account
	only  shadowsync.Formats
}

func (d *database) enter(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.hangs {
		<-ctx.Done()
		return ctx.Err()
	}
	if d.gone {
		return shadowsync.ErrUnavailable
	}
	return nil
}

func (d *database) Capabilities() shadowsync.Capabilities {
	return shadowsync.Capabilities{Fields: shadowsync.FieldHash, Formats: d.only}
}
func (d *database) Revision(ctx context.Context) (string, error) { return d.hash, d.enter(ctx) }

func (d *database) Read(ctx context.Context, _ []string) (shadowsync.StoreSnapshot, error) {
	err := d.enter(ctx)
	if d.lacks {
		return shadowsync.StoreSnapshot{Revision: "lacks"}, err
	}
	record := shadowsync.StoredAccount{Credential: shadowsync.Credential{Hash: d.hash}}
	return shadowsync.StoreSnapshot{Revision: d.hash, Accounts: map[string]shadowsync.StoredAccount{"admin": record}}, err
}

func (d *database) Write(ctx context.Context, writes []shadowsync.Write) (shadowsync.Unwritten, error) {
	err := d.enter(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil {
		d.hash = writes[0].Want.Hash
	}
	return nil, err
}
func (d *database) Watch(context.Context) (<-chan struct{}, error) { return nil, nil }
func (d *database) Close() error                                   { return nil }

type off struct{ engine.NoGuard }

func (off) End(context.Context, shadowsync.Account, shadowsync.Logout) (ended, left []shadowsync.Session, err error) {
	return nil, nil, nil
}

// system is a system in a folder; its application has the given start policy.
type system struct {
	*testing.T
	root    string
	options engine.Options
	engine  *engine.Engine
	store   *database
	units   Units
}

// unit is an application's unit in some state.
type unit systemd.Activity

func (u unit) Activity(context.Context, string) (systemd.Activity, error) {
	return systemd.Activity(u), nil
}

// limit sets which formats the application verifies.
func (s *system) limit(prefix string) {
	s.store.only = shadowsync.Formats{prefix}
	r := s.engine.Reconciler("conductor")
	r.Store, r.Application.Revision = s.store, prefix // a new configuration
}

func newSystem(t *testing.T, policy config.StartPolicy) *system {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: the files of a system belong to root")
	}
	s := &system{T: t, root: t.TempDir(), store: &database{hash: oldHash}}
	s.write("etc/passwd", "root:x:0:0::/root:/bin/sh\nadmin:x:1000:1000::/home/admin:/bin/sh\n")
	s.write("etc/group", "root:x:0:\n")
	s.shadow(oldHash)
	c, err := config.Parse(fmt.Appendf(nil, `[[application]]
name = "conductor"
unit = "128T.service"
accounts = ["admin"]
start = %q
[application.store]
driver = "json"
path = "/srv/users.json"
users = "/users"
name = "name"
password = "password"
`, policy))
	if err != nil {
		t.Fatal(err)
	}
	s.options = engine.Options{
		Root: s.root, Config: c, Program: "test", StoreTimeout: 300 * time.Millisecond, Guard: off{}, Sessions: off{},
		OpenStore: func(context.Context, config.Application, store.Options) (shadowsync.CredentialStore, error) {
			return s.store, nil
		},
	}
	if s.engine, err = engine.Open(t.Context(), s.options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.engine.Close() })
	if err := s.run(PreStart); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *system) run(kind Kind) error {
	return Run(s.Context(), s.engine, s.units, kind, "128T.service")
}

func (s *system) write(name, text string) {
	s.Helper()
	path := filepath.Join(s.root, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path+"+", []byte(text), 0o640), os.Rename(path+"+", path)); err != nil {
		s.Fatal(err)
	}
}

func (s *system) shadow(hash string) {
	s.Helper()
	s.write("etc/shadow", "root:*:20000:0:99999:7:::\nadmin:"+hash+":20000:0:99999:7:::\n")
}

func (s *system) both(hash string) {
	s.Helper()
	text, err := os.ReadFile(filepath.Join(s.root, "etc/shadow"))
	if err != nil || !strings.Contains(string(text), "admin:"+hash+":") || s.store.hash != hash {
		s.Errorf("the store holds %q and shadow %q, %v; want %q", s.store.hash, text, err, hash)
	}
}

func (s *system) settles() bool {
	s.Helper()
	memory, err := s.engine.State.Load(s.Context(), "conductor", []string{})
	if err != nil {
		s.Fatal(err)
	}
	return time.Now().Before(memory.Settle)
}

// TestEveryMoment: at each moment, a change made past us reaches the store.
func TestEveryMoment(t *testing.T) {
	for _, kind := range Kinds {
		t.Run(string(kind), func(t *testing.T) {
			s := newSystem(t, config.StartAnyway)
			s.units = unit{Over: true} // otherwise the watch would last for the settle time
			s.shadow(newHash)
			if err := s.run(kind); err != nil {
				t.Fatal(err)
			}
			s.both(newHash)
		})
	}
}

// TestPreStart opens the settle time and writes the list that the PAM module reads.
func TestPreStart(t *testing.T) {
	s := newSystem(t, config.StartAnyway)
	managed := filepath.Join(s.root, engine.RunDir, "managed")
	if err := errors.Join(s.engine.State.SetSettle(t.Context(), "conductor", time.Time{}), os.Remove(managed)); err != nil {
		t.Fatal(err)
	}
	if err := s.run(PostStop); err != nil || s.settles() {
		t.Errorf("after the stop: %v, settling: %v", err, s.settles())
	}
	if err := s.run(PreStart); err != nil || !s.settles() {
		t.Errorf("before the start: %v, settling: %v", err, s.settles())
	}
	if list, err := os.ReadFile(managed); err != nil || !strings.HasPrefix(string(list), "admin\t128T.service") {
		t.Errorf("the list is %q, %v", list, err)
	}
}

// TestStartOfARunningApplication: `systemctl start` also runs the hook for a running application,
// whose settle time must not start again.
func TestStartOfARunningApplication(t *testing.T) {
	s := newSystem(t, config.StartAnyway)
	if err := s.engine.State.SetSettle(t.Context(), "conductor", time.Time{}); err != nil {
		t.Fatal(err)
	}
	s.units = unit{Active: true, For: time.Hour}
	for _, kind := range []Kind{PreStart, Settle} {
		if err := s.run(kind); err != nil || s.settles() {
			t.Errorf("%s of what runs for an hour: %v, settling: %v", kind, err, s.settles())
		}
	}
	s.units = unit{Active: true, For: time.Second}
	if err := s.run(PostStart); err != nil || !s.settles() {
		t.Errorf("of what runs for a second: %v, settling: %v", err, s.settles())
	}
	s.units = unit{Over: true}
	if err := s.run(Settle); err != nil || s.settles() {
		t.Errorf("of what did not come up: %v, settling: %v", err, s.settles())
	}
}

// TestWatchOnOneThatSettles: without a broker, a change within the settle time is carried over. A
// new start that ends the watch is no failure.
func TestWatchOnOneThatSettles(t *testing.T) {
	s := newSystem(t, config.StartAnyway)
	s.units = unit{Active: true}
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, s.engine, s.units, Settle, "128T.service") }()
	eventually.Holds(t, "settling", s.settles)
	s.shadow(newHash)
	eventually.Holds(t, "the change in the store", func() bool { return s.store.holds(newHash) })
	s.shadow(newHash + "x")
	eventually.Holds(t, "the next change in the store", func() bool { return s.store.holds(newHash + "x") })
	end()
	if err := <-ended; err != nil {
		t.Errorf("the end of the watch: %v", err)
	}
}

func (d *database) holds(hash string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.hash == hash
}

// TestStoppingApplicationDumpsItsMemory: the application wrote its old users over the new password.
func TestStoppingApplicationDumpsItsMemory(t *testing.T) {
	s := newSystem(t, config.StartAnyway)
	s.shadow(newHash)
	if err := s.run(PreStop); err != nil {
		t.Fatal(err)
	}
	s.store.hash = oldHash
	if err := s.run(PostStop); err != nil {
		t.Fatal(err)
	}
	s.both(newHash)
}

// TestStoreThatIsAway: the policy decides whether the application starts without the change.
func TestStoreThatIsAway(t *testing.T) {
	for name, away := range map[string]func(*database){
		"gone": func(d *database) { d.gone = true },
		"hung": func(d *database) { d.hangs = true },
	} {
		for _, policy := range []config.StartPolicy{config.StartAnyway, config.StartRefuse} {
			t.Run(name+"/"+string(policy), func(t *testing.T) {
				s := newSystem(t, policy)
				s.shadow(newHash)
				away(s.store)
				begin := time.Now()
				err := s.run(PreStart)
				if took := time.Since(begin); took > Limit {
					t.Errorf("it took %v", took)
				}
				var notSettled *NotSettledError
				if refused := errors.As(err, &notSettled); refused != (policy == config.StartRefuse) {
					t.Fatalf("it says %v", err)
				}
				if notSettled != nil && (notSettled.Outcome.Account != "admin" || notSettled.Outcome.State != shadowsync.Pending) {
					t.Errorf("it says %v", err)
				}
				if err := s.run(PostStop); err != nil {
					t.Errorf("a stop is refused: %v", err)
				}
			})
		}
	}
}

// TestWhatIsRefused: a start is refused only if it could undo a change.
func TestWhatIsRefused(t *testing.T) {
	const foreign = "$y$j9T$abcdefgh$VdlqHNmVsAzQyLuyPYLSFGzJrkpcj0MyW4Pd9bGsYTT"
	for name, tc := range map[string]struct {
		befalls func(*system)
		refused shadowsync.ChangeState // empty: it starts
	}{
		"nothing":                       {func(*system) {}, ""},
		"both sides changed":            {func(s *system) { s.shadow(newHash); s.store.hash = newHash + "x" }, shadowsync.Conflict},
		"a password for the next login": {func(s *system) { s.shadow(foreign) }, shadowsync.NeedsLogin},
		"gone from the OS":              {func(s *system) { s.write("etc/shadow", "root:*:20000:0:99999:7:::\n") }, ""},
		"gone from the store":           {func(s *system) { s.store.lacks = true }, ""},
		"what both hold, for a login":   {func(s *system) { s.limit("$5$") }, ""},
		"that, and the store away":      {func(s *system) { s.limit("$5$"); s.store.gone = true }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSystem(t, config.StartRefuse)
			s.limit("$6$")
			tc.befalls(s)
			err := s.run(PreStart)
			var notSettled *NotSettledError
			if errors.As(err, &notSettled) != (tc.refused != "") || notSettled == nil && err != nil {
				t.Fatalf("it says %v", err)
			}
			if notSettled != nil && notSettled.Outcome.State != tc.refused {
				t.Errorf("it says %v", err)
			}
		})
	}
}

// TestLockThatIsHeld: a hook ends even while another process holds the engine lock.
func TestLockThatIsHeld(t *testing.T) {
	s := newSystem(t, config.StartAnyway)
	s.shadow(newHash)
	lease, err := s.engine.Locker().Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer lease.Release()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := Run(ctx, s.engine, nil, PreStart, "128T.service"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it says %v", err)
	}
}

func TestUnitOfNobody(t *testing.T) {
	s := newSystem(t, config.StartAnyway)
	if err := Run(t.Context(), s.engine, nil, PreStart, "other.service"); err == nil || !strings.Contains(err.Error(), "other.service") {
		t.Errorf("it says %v", err)
	}
}
