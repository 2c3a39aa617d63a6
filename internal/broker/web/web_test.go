package web

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/account/directory"
	"github.com/shadowsync/shadowsync/internal/account/sessions"
	"github.com/shadowsync/shadowsync/internal/account/sessions/websession"
	"github.com/shadowsync/shadowsync/internal/broker/keeper"
	"github.com/shadowsync/shadowsync/internal/broker/operators"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/engine/enginetest"
	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/factor/totp"
	"github.com/shadowsync/shadowsync/internal/password/pamworker"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/shadowsync/web"
)

const (
	right = "The right password 1"
	from  = "192.0.2.7"
)

// site is a system with a page, for the one account "user".
type site struct {
	*enginetest.System
	web.Client
	sessions websession.Store
	server   *Server

	mu       sync.Mutex
	visits   []pamworker.Visitor // whose passwords were proven
	meantime func() error        // runs while a password is proven
	asked    atomic.Int64        // how often the directory was
	people   []directory.Person  // in it
	ahead    atomic.Int64        // of the clock
}

func open(t *testing.T, settings string) *site {
	t.Helper()
	s := &site{System: enginetest.Open(t, settings)}
	s.sessions = websession.Store{Dir: filepath.Join(t.TempDir(), "web"), Clock: func() time.Duration { return time.Hour + time.Duration(s.ahead.Load()) }}
	log := slog.New(slog.DiscardHandler)
	present := func() *engine.Engine { return s.Engine }
	k := keeper.New(present, s.Config.Applications[0], func() {}, log)
	prompts := operators.New(operators.Options{
		Engine: present, Keepers: map[string]*keeper.Keeper{"app": k}, Errands: &operators.Errands{}, Log: log, Life: t.Context(),
		Dialogues: &operators.Dialogues{Ender: s, Again: func(string) {}}, Proves: s.proves,
		Directory: func(_ context.Context, q directory.Query) (directory.Person, error) {
			s.asked.Add(1)
			for _, p := range s.people {
				if p.Name == q.Name || q.Name == "" && p.UID == q.UID {
					return p, nil
				}
			}
			return directory.Person{}, shadowsync.ErrNoAccount
		},
	})
	s.server = &Server{Operators: prompts.ForPages(), Config: func() *config.Config { return s.Config }, Sessions: s.sessions, Log: log}
	s.Path = filepath.Join(t.TempDir(), "web.sock")
	l, err := socket.Listen(s.Path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- (&socket.Server{Handler: s.server.Answer, PerPlace: 64, Timeout: Timeout, Log: log}).Serve(ctx, l)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		k.Wait()
	})
	return s
}

// proves stands for the PAM stack.
func (s *site) proves(_ context.Context, v pamworker.Visitor, _ string, current *os.File) (pamworker.Answer, error) {
	s.mu.Lock()
	s.visits = append(s.visits, v)
	meantime := s.meantime
	s.mu.Unlock()
	shown, err := socket.ReadSecret(current, web.MaxPassword)
	if err != nil {
		return pamworker.Answer{}, err
	}
	if meantime != nil {
		if err := meantime(); err != nil {
			return pamworker.Answer{}, err
		}
	}
	if string(shown) != right {
		return pamworker.Answer{Verdict: pamworker.Wrong, Reason: "Authentication failure"}, nil
	}
	return pamworker.Answer{Verdict: pamworker.Done}, nil
}

// proven are the visitors whose passwords were proven so far.
func (s *site) proven() []pamworker.Visitor {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.visits)
}

// during has something done while a password is proven; its error is the stack's.
func (s *site) during(do func() error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.meantime = do
}

// End, EndBut and the others end the sessions of pages; there are no others.
func (s *site) End(ctx context.Context, account shadowsync.Account, l shadowsync.Logout) (ended, survivors []shadowsync.Session, err error) {
	return s.EndBut(ctx, account, sessions.Keep{Session: l.Keep})
}

func (s *site) EndBut(_ context.Context, account shadowsync.Account, keep sessions.Keep) (ended, survivors []shadowsync.Session, err error) {
	return s.sessions.EndBut(account.UID, keep.Session)
}

func (s *site) ListLeftAlone(context.Context, shadowsync.Account) ([]sessions.LeftAlone, error) {
	return nil, nil
}

func (s *site) Foresee(context.Context) {}

func secret(t *testing.T, text string) *web.Secret {
	t.Helper()
	made, err := web.NewSecret([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = made.Close() })
	return made
}

func kindOf(err error) web.Kind {
	var told *web.Error
	if errors.As(err, &told) {
		return told.Kind
	}
	if err != nil {
		return web.Kind(err.Error())
	}
	return ""
}

func (s *site) signIn(t *testing.T) web.Signed {
	t.Helper()
	signed, err := s.SignIn(t.Context(), web.SignIn{Name: "user", Address: from}, secret(t, right))
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func local(name string) factor.Subject { return factor.Subject{Realm: factor.Local, Account: name} }

// enrols gives the account a second factor and returns its secret.
func (s *site) enrols(t *testing.T) (secret []byte, recovery []string) {
	t.Helper()
	f := s.Factors(noBrake{})
	secret, err := f.Begin(t.Context(), factor.Beginning{Subject: local("user")})
	if err != nil {
		t.Fatal(err)
	}
	code := totp.Code(secret, totp.StepAt(time.Now())-1) // the present one is for the test
	recovery, err = f.Confirm(t.Context(), factor.Attempt{Subject: local("user"), Code: code})
	if err != nil {
		t.Fatal(err)
	}
	return secret, recovery
}

type noBrake struct{}

func (noBrake) Begin(factor.Count, time.Time) time.Duration { return 0 }
func (noBrake) Spare(factor.Count)                          {}
func (noBrake) Forgive(factor.Count)                        {}
func (noBrake) Due(string, time.Time) (int, bool)           { return 0, true }

func now(secret []byte) string { return string(totp.Code(secret, totp.StepAt(time.Now()))) }

// TestWithoutToken: whoever has the socket alone learns the settings.
func TestWithoutToken(t *testing.T) {
	s := open(t, "[node]\nname = \"east\"\n[web]\nproxies = [\"10.0.0.1\"]\n")
	settings, err := s.Settings(t.Context())
	if err != nil || settings.Node != "east" || settings.Idle != 15*time.Minute || settings.Total != 8*time.Hour || len(settings.Proxies) != 1 {
		t.Errorf("%+v, %v", settings, err)
	}
	s.signIn(t)
	for _, token := range []string{"", "x", strings.Repeat("A", 43), "../web", strings.Repeat("A", 60)} {
		l := s.With(token)
		_, who := l.Who(t.Context())
		_, list := l.Sessions(t.Context(), "")
		_, users := l.Users(t.Context())
		_, lock := l.Lock(t.Context(), "user", web.Shown{By: web.ByPassword, Secret: secret(t, right)})
		_, set := l.SetPassword(t.Context(), secret(t, right), secret(t, "another"))
		for _, err := range []error{who, list, users, lock, set} {
			if kindOf(err) != web.SignedOut {
				t.Errorf("with the token %q: %v", token, err)
			}
		}
	}
}

// TestSameAnswer: a wrong password and every name that cannot sign in get the same answer, after a proof.
func TestSameAnswer(t *testing.T) {
	s := open(t, "")
	s.Write("passwd", "root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/:/bin/sh\nother:x:1001:1001::/:/bin/sh\ntwin:x:1002:1::/:/bin/sh\ntwin2:x:1002:1::/:/bin/sh\n")
	for i, name := range []string{"user", "root", "other", "twin", "nobody-here", "", "a:b", "a\nb", strings.Repeat("x", 9000), "<script>", "-rf", "../user"} {
		before := len(s.proven())
		password := right
		if name == "user" {
			password = "wrong"
		}
		_, err := s.SignIn(t.Context(), web.SignIn{Name: name, Address: "198.51.100." + string(rune('1'+i%9))}, secret(t, password))
		if kindOf(err) != web.NotAuthenticated || err.Error() != "the name or the password is not right" {
			t.Errorf("%.20q: %v", name, err)
		}
		if visits := s.proven(); len(visits) != before+1 || visits[before].Nobody != (name != "user") {
			t.Errorf("%.20q: proven were %+v", name, visits[before:])
		}
	}
	s.Write("shadow", "user:!"+enginetest.FormerHash+":20000::::::\n")
	if _, err := s.SignIn(t.Context(), web.SignIn{Name: "user", Address: from}, secret(t, right)); kindOf(err) != web.NotAuthenticated {
		t.Errorf("locked: %v", err)
	}
	if all, err := s.sessions.All(); err != nil || len(all) != 0 {
		t.Errorf("sessions: %v, %v", all, err)
	}
}

func TestSignInAndOut(t *testing.T) {
	s := open(t, "")
	signed := s.signIn(t)
	if signed.Next != web.NextNone || len(signed.Token) != 43 {
		t.Fatalf("%+v", signed)
	}
	if v := s.proven()[0]; v.Service != "shadowsync-web" || v.Host != from || v.User != "user" || v.UID != 1000 {
		t.Errorf("proven: %+v", v)
	}
	l := s.With(signed.Token)
	p, err := l.Who(t.Context())
	if err != nil || p.Name != "user" || p.Role != web.RoleUser || p.Proof != web.ByPassword || p.Factor != web.FactorNone || p.Address != from {
		t.Errorf("%+v, %v", p, err)
	}
	second := s.signIn(t)
	if err := l.SignOut(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := l.Who(t.Context()); kindOf(err) != web.SignedOut {
		t.Errorf("after signing out: %v", err)
	}
	if _, err := s.With(second.Token).Who(t.Context()); err != nil {
		t.Errorf("the other session: %v", err)
	}
	if !s.Audited("signed-in", "") || !s.Audited("signed-out", "") {
		t.Error("it is not in the audit")
	}
	s.ahead.Add(int64(16 * time.Minute))
	if _, err := s.With(second.Token).Who(t.Context()); kindOf(err) != web.SignedOut {
		t.Errorf("idle: %v", err)
	}
}

// TestSessionFollowsTheAccount: a session ends when its account is locked, expired, gone, or another one's.
func TestSessionFollowsTheAccount(t *testing.T) {
	for name, change := range map[string]func(s *site){
		"locked":      func(s *site) { s.Write("shadow", "user:!"+enginetest.FormerHash+":20000::::::\n") },
		"expired":     func(s *site) { s.Write("shadow", "user:"+enginetest.FormerHash+":20000:::::1:\n") },
		"gone":        func(s *site) { s.Write("passwd", "root:x:0:0::/:/bin/sh\n") },
		"another uid": func(s *site) { s.Write("passwd", "user:x:1001:1000::/:/bin/sh\n") },
		"renamed":     func(s *site) { s.Write("passwd", "user2:x:1000:1000::/:/bin/sh\n") },
		"shared uid":  func(s *site) { s.Write("passwd", "user:x:1000:1000::/:/bin/sh\nuser2:x:1000:1000::/:/bin/sh\n") },
		"enrolled":    func(s *site) { s.enrols(t) },
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, "")
			l := s.With(s.signIn(t).Token)
			if _, err := l.Who(t.Context()); err != nil {
				t.Fatal(err)
			}
			change(s)
			if _, err := l.Who(t.Context()); kindOf(err) != web.SignedOut {
				t.Errorf("%v", err)
			}
			if all, err := s.sessions.All(); err != nil || len(all) != 0 {
				t.Errorf("kept: %v, %v", all, err)
			}
		})
	}
}

// TestPasswordSetWhileSigningIn: the old password opens nothing, at whatever moment it was replaced.
func TestPasswordSetWhileSigningIn(t *testing.T) {
	s := open(t, "")
	s.during(func() error {
		s.Sets(enginetest.OtherHash)
		return nil
	})
	if _, err := s.SignIn(t.Context(), web.SignIn{Name: "user", Address: from}, secret(t, right)); kindOf(err) != web.SignedOut {
		t.Errorf("during the proof: %v", err)
	}
	s.during(nil)
	authenticator, _ := s.enrols(t)
	signed := s.signIn(t)
	s.Sets(enginetest.FormerHash)
	if _, err := s.With(signed.Token).Code(t.Context(), secret(t, now(authenticator))); kindOf(err) != web.SignedOut {
		t.Errorf("before the code: %v", err)
	}
}

// TestCode: an enrolled account shows a code, and each step has a token of its own.
func TestCode(t *testing.T) {
	s := open(t, "")
	authenticator, recovery := s.enrols(t)
	first := s.signIn(t)
	if first.Next != web.NextCode || first.Lost {
		t.Fatalf("%+v", first)
	}
	l := s.With(first.Token)
	p, err := l.Who(t.Context())
	if err != nil || p.Next != web.NextCode || p.Role != "" || p.CodesLeft != 0 || p.FullName != "" {
		t.Errorf("before the code: %+v, %v", p, err)
	}
	_, list := l.Sessions(t.Context(), "")
	_, set := l.SetPassword(t.Context(), secret(t, right), secret(t, "Another password 2"))
	_, confirm := l.Confirm(t.Context(), secret(t, now(authenticator)))
	_, enrol := l.Enrol(t.Context(), web.Shown{By: web.ByPassword, Secret: secret(t, right)}, nil)
	_, end := l.EndSessions(t.Context(), "", web.Shown{By: web.ByPassword, Secret: secret(t, right)})
	for what, err := range map[string]error{"sessions": list, "set-password": set, "confirm": confirm, "enrol": enrol, "end-sessions": end} {
		if kindOf(err) != web.StepNeeded {
			t.Errorf("%s before the code: %v", what, err)
		}
	}
	if _, err := l.Code(t.Context(), secret(t, "000000")); kindOf(err) != web.CodeRefused {
		t.Errorf("a wrong code: %v", err)
	}
	second, err := l.Code(t.Context(), secret(t, now(authenticator)))
	if err != nil || second.Next != web.NextNone || second.Token == first.Token {
		t.Fatalf("%+v, %v", second, err)
	}
	if _, err := l.Who(t.Context()); kindOf(err) != web.SignedOut {
		t.Errorf("the former token: %v", err)
	}
	l = s.With(second.Token)
	if p, err := l.Who(t.Context()); err != nil || p.Proof != web.ByCode || p.CodesLeft != len(recovery) {
		t.Errorf("%+v, %v", p, err)
	}
	third, err := s.With(s.signIn(t).Token).Code(t.Context(), secret(t, recovery[0]))
	if err != nil || third.Next != web.NextNone {
		t.Errorf("a recovery code: %+v, %v", third, err)
	}
	if _, err := l.EndSessions(t.Context(), "", web.Shown{By: web.ByPassword, Secret: secret(t, right)}); kindOf(err) != web.Usage {
		t.Errorf("a password where a code is wanted: %v", err)
	}
	renewed, err := l.RenewCodes(t.Context(), secret(t, recovery[1]))
	if err != nil || len(renewed.Recovery) != len(recovery) || renewed.Token == second.Token {
		t.Fatalf("%+v, %v", renewed, err)
	}
	if _, err := s.With(third.Token).Who(t.Context()); kindOf(err) != web.SignedOut {
		t.Errorf("another session after the renewal: %v", err)
	}
	if _, err := s.With(renewed.Token).Who(t.Context()); err != nil {
		t.Errorf("the session that renewed: %v", err)
	}
}
