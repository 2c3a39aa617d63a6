package broker

import (
	"context"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shadowsync/shadowsync/internal/account/faillock"
	"github.com/shadowsync/shadowsync/internal/engine/enginetest"
	"github.com/shadowsync/shadowsync/internal/password/crypt"
	"github.com/shadowsync/shadowsync/internal/password/crypt/format"
	"github.com/shadowsync/shadowsync/internal/password/proof"
	"github.com/shadowsync/shadowsync/internal/password/scheme"
	"github.com/shadowsync/shadowsync/internal/test/eventually"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/systemd"
)

const (
	osPassword  = "velvet-hammer"
	appPassword = "the-application-s-own"
)

// own is a system whose store has the scheme of mosquitto, with a broker.
type own struct {
	*enginetest.System
	b *Broker
	t *testing.T
}

// rehashed is such a system in which the application has just replaced its hash, by one of this password.
func rehashed(t *testing.T, settings, password string) own {
	t.Helper()
	s := own{enginetest.OpenOwn(t, settings), nil, t}
	s.b = brokerFor(t, s.System)
	s.b.guard = systemd.NewGuard(&systemd.Bus{})
	s.b.failures = func() *faillock.Counters { return faillock.Of(s.Root()) }
	s.Sets(cryptOf(t, osPassword))
	s.changes(osPassword)
	s.Settle() // the OS has a new hash, of which no clear text was seen
	s.login(osPassword)
	s.is(shadowsync.InSync)
	s.changes(password)
	s.Settle()
	s.is(shadowsync.Unproven)
	return s
}

func cryptOf(t *testing.T, password string) string {
	t.Helper()
	hash, err := crypt.Generate(format.SHA512, []byte(password))
	if err != nil {
		t.Fatal(err)
	}
	return hash
}

// changes is the application, which replaces its hash.
func (s own) changes(password string) {
	s.t.Helper()
	value, err := proof.Target{Scheme: "mosquitto", Cost: 1000}.Hash([]byte(password))
	if err != nil {
		s.t.Fatal(err)
	}
	s.Held.Records["user"] = shadowsync.Credential{Hash: value}
}

// login is a login with this password, and what the broker makes of it.
func (s own) login(password string) {
	s.t.Helper()
	token := s.token(password)
	peer := socket.Peer{PID: os.Getpid()}
	s.b.authenticated(s.t.Context(), s.Engine, peer, "user", []*os.File{token})
	s.b.logins.all.Wait()
	s.Settle()
}

func (s own) token(password string) *os.File {
	s.t.Helper()
	token, err := socket.SealedMemfd([]byte(password))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = token.Close() })
	return token
}

func (s own) is(want shadowsync.ChangeState) {
	s.t.Helper()
	got := shadowsync.InSync
	if o := s.OnRecord().Open; o != nil {
		got = o.State
	}
	if got != want {
		s.t.Fatalf("it is %s, want %s: %+v", got, want, s.OnRecord().Open)
	}
}

// opens checks the password that the store's value is of.
func (s own) opens(password string) {
	s.t.Helper()
	of, err := scheme.Find("mosquitto")
	if err != nil {
		s.t.Fatal(err)
	}
	if ok, err := of.Verify(s.Held.Records["user"].Hash, []byte(password), "user"); !ok || err != nil {
		s.t.Errorf("the application does not let in with %q: %v", password, err)
	}
}

// TestALoginFits: the application re-hashed the same password, which the next login shows. Nothing is
// written.
func TestALoginFits(t *testing.T) {
	s := rehashed(t, "changed = \"lock\"\n", osPassword)
	value := s.Held.Records["user"].Hash
	s.login("guessed") // it proves nothing, although PAM may have taken it from a directory
	s.is(shadowsync.Unproven)
	s.login(osPassword)
	s.is(shadowsync.InSync)
	if s.Held.Records["user"].Hash != value || s.OnRecord().Baseline.Store.Hash != value || s.Present().Locked {
		t.Error("the value was replaced, or the account locked")
	}
	if !s.Audited("proven", "a login's password fits") {
		t.Error("the audit does not say that it was proven")
	}
}

// TestALoginDiffers: the password was changed in the application. The configuration says what happens, once.
func TestALoginDiffers(t *testing.T) {
	for name, tc := range map[string]struct {
		settings string
		group    string
		check    func(shadowsync.Account) bool
	}{
		"leave":             {"", "", func(a shadowsync.Account) bool { return !a.Locked && !a.MustChange }},
		"lock":              {"changed = \"lock\"\n", "", func(a shadowsync.Account) bool { return a.Locked && a.Expire == shadowsync.LockedExpiry }},
		"expire":            {"changed = \"expire\"\n", "", func(a shadowsync.Account) bool { return !a.Locked && a.MustChange }},
		"lock, protected":   {"changed = \"lock\"\n", "sudo:x:27:user\n", func(a shadowsync.Account) bool { return !a.Locked && a.Expire == shadowsync.NoDay }},
		"expire, protected": {"changed = \"expire\"\n", "sudo:x:27:user\n", func(a shadowsync.Account) bool { return !a.MustChange }},
	} {
		t.Run(name, func(t *testing.T) {
			s := rehashed(t, tc.settings, appPassword)
			s.Write("group", "user:x:1000:\n"+tc.group)
			s.login(osPassword)
			s.is(shadowsync.Changed)
			s.opens(appPassword)
			if !tc.check(s.Present()) {
				t.Errorf("the account is %+v", s.Present())
			}
			if !s.Audited("changed", "the password was changed in the application") {
				t.Error("the audit does not say so")
			}
			s.Sets(cryptOf(t, osPassword)) // an administrator undoes what followed
			s.Settle()
			s.login(osPassword)
			s.is(shadowsync.InSync) // the hash is another, so the store got one of the same password
			s.opens(osPassword)
		})
	}
}

// TestRehashedDuringALogin: the value that a login's password does not fit is not the store's any more when
// that is known. Nothing follows from it.
func TestRehashedDuringALogin(t *testing.T) {
	s := rehashed(t, "changed = \"lock\"\n", appPassword)
	s.Held.Looked = func() { s.Held.Looked = nil; s.changes(osPassword) }
	s.login(osPassword)
	s.is(shadowsync.Unproven)
	if s.Present().Locked {
		t.Error("the account is locked")
	}
	s.login(osPassword)
	s.is(shadowsync.InSync)
}

// TestAnnouncedToAnOwnScheme: passwd's clear text goes over whatever the application made of its hash, in
// the cost that the application uses; a password that the scheme cannot hold is refused at once.
func TestAnnouncedToAnOwnScheme(t *testing.T) {
	s := rehashed(t, "", appPassword)
	s.Sets(cryptOf(t, "new-velvet"))
	said, _ := s.b.pamChanged(t.Context(), s.Engine, socket.Peer{PID: os.Getpid()}, "user", []*os.File{s.token("new-velvet")})
	if want := "shadowsync: user: persisted in app's credential store"; !strings.HasPrefix(said.Text, want) {
		t.Errorf("passwd says %q", said.Text)
	}
	s.is(shadowsync.InSync)
	s.opens("new-velvet")
	if !strings.HasPrefix(s.Held.Records["user"].Hash, "$7$1000$") {
		t.Errorf("the store holds %q", s.Held.Records["user"].Hash)
	}
}

// othersAreMade has as many hashes being made as may be at a time, until end is called.
func othersAreMade(t *testing.T) (end func()) {
	t.Helper()
	var free []func()
	for range 2 {
		done, err := proof.Target{Scheme: "mosquitto"}.Turn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		free = append(free, done)
	}
	return func() {
		for _, done := range free {
			done()
		}
	}
}

// TestQueuedToAnOwnScheme: a hash that takes too long is made after passwd has ended, which says so.
func TestQueuedToAnOwnScheme(t *testing.T) {
	s := rehashed(t, "", osPassword)
	othersEnd := othersAreMade(t)
	s.Sets(cryptOf(t, "new-velvet"))
	ctx, cancel := context.WithCancel(t.Context())
	said, _ := s.b.pamChanged(ctx, s.Engine, socket.Peer{PID: os.Getpid()}, "user", []*os.File{s.token("new-velvet")})
	cancel() // passwd has gone
	othersEnd()
	if want := "shadowsync: user: queued (the hash for app takes longer)"; !strings.HasPrefix(said.Text, want) {
		t.Errorf("passwd says %q", said.Text)
	}
	eventually.Holds(t, "the store has the new password", func() bool {
		s.Settle()
		return s.OnRecord().Open == nil
	})
	s.b.logins.all.Wait()
	s.opens("new-velvet")
}

// TestQueuedTwice: while a hash is being made that takes too long, another password is announced. The store gets that one.
func TestQueuedTwice(t *testing.T) {
	s := rehashed(t, "", osPassword)
	othersEnd := othersAreMade(t)
	for _, password := range []string{"new-velvet-1", "new-velvet-2", "new-velvet-3"} {
		s.Sets(cryptOf(t, password))
		said, _ := s.b.pamChanged(t.Context(), s.Engine, socket.Peer{PID: os.Getpid()}, "user", []*os.File{s.token(password)})
		if want := "shadowsync: user: queued (the hash for app takes longer)"; !strings.HasPrefix(said.Text, want) {
			t.Errorf("passwd says %q", said.Text)
		}
	}
	othersEnd()
	eventually.Holds(t, "the store has the last password", func() bool {
		s.Settle()
		return s.OnRecord().Open == nil
	})
	s.b.logins.all.Wait()
	s.opens("new-velvet-3")
}

// TestMadeBeforeItsChangeIsRecorded: a hash that passwd was promised is made while its announcement waits to be recorded.
func TestMadeBeforeItsChangeIsRecorded(t *testing.T) {
	s := rehashed(t, "", osPassword)
	s.Sets(cryptOf(t, "new-velvet"))
	a, _ := s.Config.Managing("user")
	r := s.Reconciler(a.Name)
	change := shadowsync.Change{Account: "user", OS: s.Present().Credential, Origin: shadowsync.Origin{At: time.Now(), SeenBy: shadowsync.SeenByPAM}}
	target, _ := proof.Of(t.Context(), r, "user")
	hash, err := s.b.proofs.Make(t.Context(), s.token("new-velvet"), change.OS.Hash, target)
	if err != nil {
		t.Fatal(err)
	}
	tries := 0
	taken, err := s.b.onceRecorded(t.Context(), s.Engine, r, change, func() (bool, error) {
		switch tries++; tries {
		case 2:
			if _, err := r.Announce(t.Context(), change); err != nil {
				t.Error(err)
			}
		case 3:
			s.Settle()
			s.is(shadowsync.NeedsLogin)
		}
		return r.Prove(t.Context(), "user", change.OS.Hash, hash, change.Origin)
	})
	if err != nil || !taken || tries != 3 {
		t.Fatalf("it is taken: %v, %v, at try %d", taken, err, tries)
	}
	s.Settle()
	s.is(shadowsync.InSync)
	s.opens("new-velvet")
	for _, what := range []string{"settled", "replaced in the OS"} {
		tries = 0
		taken, err := s.b.onceRecorded(t.Context(), s.Engine, r, change, func() (bool, error) { tries++; return false, nil })
		if taken || err != nil || tries != 1 {
			t.Errorf("%s: %v, %v, tried %d times", what, taken, err, tries)
		}
		s.Sets(cryptOf(t, "newer-velvet"))
	}
}

// TestNewestWork: of the work that waits for a task's present one, the newest is done, the others are dropped, and all
// that is left at the end of the broker is named.
func TestNewestWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l logins
		var mu sync.Mutex
		var did []string
		note := func(what string) { mu.Lock(); defer mu.Unlock(); did = append(did, what) }
		work := func(name string) later {
			return later{run: func() { time.Sleep(time.Second); note(name) }, drop: func() { note("not " + name) }}
		}
		for _, name := range []string{"1", "2", "3"} {
			if !l.after("user/", 1, work(name)) {
				t.Errorf("%s is refused", name)
			}
		}
		if l.after("other/", 1, work("4")) {
			t.Error("there is no bound")
		}
		l.all.Wait()
		l.after("user/", 1, work("5"))
		l.after("user/", 1, work("6"))
		if left := l.finish(hashPatience); !slices.Equal(left, []string{"user"}) {
			t.Errorf("left: %q", left)
		}
		if want := []string{"not 2", "1", "3", "5", "not 6"}; !slices.Equal(did, want) {
			t.Errorf("%q, want %q", did, want)
		}
	})
}

// TestFinishLogins: the end of the broker waits for a hash that is being made, and not for long.
func TestFinishLogins(t *testing.T) {
	for name, c := range map[string]struct {
		takes, want time.Duration
		left        []string
	}{
		"none":     {0, 0, nil},
		"in time":  {hashPatience - time.Second, hashPatience - time.Second, nil},
		"too slow": {laterWithin, hashPatience, []string{"user"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var l logins
				var made atomic.Int32
				for _, task := range []string{"user/", "user/mqtt"} {
					l.begin(task, mostLater)
					l.all.Go(func() {
						defer l.end(task)
						ctx, done := l.within(t.Context(), laterWithin)
						defer done()
						select {
						case <-ctx.Done():
						case <-time.After(c.takes):
							made.Add(1)
						}
					})
				}
				synctest.Wait()
				began := time.Now()
				left := l.finish(hashPatience)
				if took := time.Since(began); took != c.want || !slices.Equal(left, c.left) || (made.Load() == 2) != (c.left == nil) {
					t.Errorf("it took %s, and left %q; %d made", took, left, made.Load())
				}
			})
		})
	}
}
