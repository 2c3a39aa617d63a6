package broker

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/broker/limit"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/factor/totp"
	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/wire/module"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
)

// gate is a broker that answers logins of the account admin.
type gate struct {
	*Broker
	secret   []byte
	recovery []string
}

func openGate(tb testing.TB) *gate {
	tb.Helper()
	g := &gate{Broker: brokerOf(tb, tb.TempDir(), "admin", "admin", "")}
	g.codes.turns = make(chan struct{}, mostCodes)
	return g
}

func (g *gate) factors() *factor.Factors { return g.engine.Load().Factors(&g.codes.wrong) }

func (g *gate) enrols(tb testing.TB, account string) {
	tb.Helper()
	s := factor.Subject{Realm: factor.Local, Account: account}
	secret, err := g.factors().Begin(tb.Context(), factor.Beginning{Subject: s, ByRoot: true})
	if err == nil {
		g.secret = secret
		g.recovery, err = g.factors().Confirm(tb.Context(), factor.Attempt{Subject: s, Code: totp.Code(secret, totp.StepAt(time.Now()))})
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// asks plays the PAM module, and returns the answer.
func (g *gate) asks(tb testing.TB, uid int, q module.Login, code string) string {
	tb.Helper()
	ours, file, err := socket.Pair()
	if err != nil {
		tb.Fatal(err)
	}
	defer file.Close()
	theirs, err := socket.FromFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	defer theirs.Close()
	var files []*os.File
	if code != "" {
		sealed, err := socket.SealedMemfd([]byte(code))
		if err != nil {
			tb.Fatal(err)
		}
		defer sealed.Close()
		files = append(files, sealed)
	}
	if err := theirs.Send(tb.Context(), q, files...); err != nil {
		tb.Fatal(err)
	}
	g.answerLogin(tb.Context(), &socket.Request{Conn: ours, Peer: socket.Peer{PID: os.Getpid(), UID: uid}})
	_ = ours.Close()
	answer := make([]byte, 4096)
	n, err := unix.Read(int(file.Fd()), answer)
	if err != nil {
		tb.Fatal(err)
	}
	return string(answer[:n])
}

// TestLoginAnswers: who needs a code, and which one is taken.
func TestLoginAnswers(t *testing.T) {
	g := openGate(t)
	need, check := module.Login{Op: module.FactorNeed, User: "admin"}, module.Login{Op: module.FactorCheck, User: "admin", Service: "sshd", Host: "192.0.2.1"}
	want := func(uid int, q module.Login, code, answer string) {
		t.Helper()
		if got := g.asks(t, uid, q, code); got != answer {
			t.Errorf("%s with %q: %q, want %q", q.Op, code, got, answer)
		}
	}
	want(0, need, "", "u")
	if list, err := inroot.ReadFile(g.engine.Load().Root(), engine.EnrolledList); err != nil || len(list) != 0 {
		t.Errorf("the list is %q, %v", list, err)
	}
	want(0, check, "123456", "r"+cannotTell)
	g.enrols(t, "admin")
	want(0, need, "", "cVerification code:")
	want(0, module.Login{Op: module.FactorNeed, User: "Admin"}, "", "u")
	want(1000, need, "", "rnot permitted")
	want(0, module.Login{Op: "factor", User: "admin"}, "", "rnot permitted")
	want(0, check, "", "rnot permitted")
	next := string(totp.Code(g.secret, totp.StepAt(time.Now())+1))
	want(1000, check, next, "rnot permitted")
	want(0, check, next, "p")
	want(0, check, next, "rthe code was used already; wait for the next one")
	want(0, check, "12345", "rthat is no code: six digits, or a recovery code")
	want(0, check, strings.Repeat("1", module.MaxCode+1), "r"+cannotTell)
	for i, code := range g.recovery {
		answer := "p"
		switch left := len(g.recovery) - i - 1; {
		case left == 1:
			answer += "1 recovery code left; the command 'renew 2fa codes' in pcli makes new ones"
		case left <= 3:
			answer += fmt.Sprint(left, " recovery codes left; the command 'renew 2fa codes' in pcli makes new ones")
		}
		want(0, check, code, answer)
	}
	if _, err := g.factors().Reset(t.Context(), factor.Subject{Realm: factor.Local, Account: "admin"}, nil, who(g.engine.Load(), socket.Peer{PID: os.Getpid()})); err != nil {
		t.Fatal(err)
	}
	want(0, need, "", "cYour second factor was reset. Enrol a new one with the enrolment code that you were given.\nEnrolment code:")
}

// TestOutOfShadow: an account that pwunconv(8) takes out of shadow(5) does not get in without its code.
func TestOutOfShadow(t *testing.T) {
	g := openGate(t)
	g.enrols(t, "admin")
	if err := inroot.Replace(g.engine.Load().Root(), "/etc/shadow", []byte("root:*:20000:0:99999:7:::\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for user, answer := range map[string]string{"admin": "r" + cannotTell, "another": "u"} {
		if got := g.asks(t, 0, module.Login{Op: module.FactorNeed, User: user}, ""); got != answer {
			t.Errorf("%s: %q, want %q", user, got, answer)
		}
	}
}

// TestRenamed: usermod -l takes nobody's second factor away. An account that got the uid of another one,
// which has a new uid, is not asked for its code.
func TestRenamed(t *testing.T) {
	g := openGate(t)
	g.enrols(t, "admin")
	etc := func(passwd, shadow string) {
		t.Helper()
		root := g.engine.Load().Root()
		err := errors.Join(inroot.Replace(root, "/etc/passwd", []byte(passwd), 0o644), inroot.Replace(root, "/etc/shadow", []byte(shadow), 0o600))
		if err != nil {
			t.Fatal(err)
		}
	}
	etc("anna:x:1000:1000::/:/bin/sh\n", "anna:*:20000::::::\n")
	anna := module.Login{Op: module.FactorNeed, User: "anna", UID: "1000"}
	if got := g.asks(t, 0, anna, ""); got != "cVerification code:" {
		t.Errorf("renamed: %q", got)
	}
	check := anna
	check.Op = module.FactorCheck
	if got := g.asks(t, 0, check, string(totp.Code(g.secret, totp.StepAt(time.Now())+1))); got != "p" {
		t.Errorf("her code: %q", got)
	}
	g.keepEnrolled(t.Context())
	if got := g.asks(t, 0, anna, ""); got != "cVerification code:" {
		t.Errorf("after a restart: %q", got)
	}
	for _, other := range []module.Login{{Op: module.FactorNeed, User: "anna", UID: "1001"}, {Op: module.FactorNeed, User: "anna"}} {
		if got := g.asks(t, 0, other, ""); got != "u" {
			t.Errorf("another person: %q", got)
		}
	}
	etc("admin:x:1002:1000::/:/bin/sh\nanna:x:1000:1000::/:/bin/sh\n", "admin:*:20000::::::\nanna:*:20000::::::\n")
	if got := g.asks(t, 0, anna, ""); got != "u" {
		t.Errorf("a uid of before: %q", got)
	}
	if list, err := inroot.ReadFile(g.engine.Load().Root(), engine.EnrolledList); err != nil || string(list) != "admin\tlocal\tenrolled\t1002\n" {
		t.Errorf("the list is %q, %v", list, err)
	}
}

// TestDamagedList: while the list is damaged and the state may not know whom it named, nobody passes
// without a code but root.
func TestDamagedList(t *testing.T) {
	g := openGate(t)
	if err := inroot.Create(g.engine.Load().Root(), engine.EnrolledList, []byte("admin\tlocal\tenrolled\t1000\nx\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for uid, answer := range map[string]string{"1000": "r" + cannotTell, "1001": "r" + cannotTell, "": "r" + cannotTell, "0": "u"} {
		if got := g.asks(t, 0, module.Login{Op: module.FactorNeed, User: "someone", UID: uid}, ""); got != answer {
			t.Errorf("uid %s: %q", uid, got)
		}
	}
	g = &gate{Broker: brokerOf(t, t.TempDir(), "admin", "admin", "[second_factor]\nrequired = \"everybody\"\n")}
	g.codes.turns = make(chan struct{}, mostCodes)
	if err := inroot.Create(g.engine.Load().Root(), engine.EnrolledList, []byte("x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	g.needs(t, "r"+cannotTell) // and nobody is offered to enrol, or to go on
}

// TestLostFactor: an account that the list names, and the state does not know, does not pass, even before the
// broker has taken it over from the list.
func TestLostFactor(t *testing.T) {
	g := openGate(t)
	if err := inroot.Create(g.engine.Load().Root(), engine.EnrolledList, []byte("admin\tlocal\tenrolled\t1000\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	g.needs(t, "r"+cannotTell)
	g.needs(t, "rthe second factor was lost with the state: an administrator resets it, with: shadowsync user reset 2fa local admin")
	if got := g.asks(t, 0, module.Login{Op: module.FactorNeed, User: "someone", UID: "1001"}, ""); got != "u" {
		t.Errorf("somebody else: %q", got)
	}
}

// TestGuessesAtLogin: wrong codes from one address do not keep the account out from another one.
func TestGuessesAtLogin(t *testing.T) {
	g := openGate(t)
	g.enrols(t, "admin")
	for i := range 10 * limit.Free {
		host := fmt.Sprint("192.0.2.", i%2)
		g.asks(t, 0, module.Login{Op: module.FactorCheck, User: "admin", Host: host}, wrong(g, i))
	}
	for host, answer := range map[string]string{"192.0.2.0": "rtoo many wrong codes", "192.0.2.1": "rtoo many wrong codes", "192.0.2.2": "p"} {
		code := string(totp.Code(g.secret, totp.StepAt(time.Now())+1))
		if got := g.asks(t, 0, module.Login{Op: module.FactorCheck, User: "admin", Host: host}, code); !strings.HasPrefix(got, answer) {
			t.Errorf("from %s: %q, want %q", host, got, answer)
		}
	}
}

// TestTenThousandGuesses from ten addresses: few of them are looked at, and meanwhile the rightful user gets
// in, also from an address that is new.
func TestTenThousandGuesses(t *testing.T) {
	g := openGate(t)
	g.enrols(t, "admin")
	from := func(host, code string) string {
		return g.asks(t, 0, module.Login{Op: module.FactorCheck, User: "admin", Host: host}, code)
	}
	guess, looked, guesses := wrong(g, 0), 0, 10_000
	if testing.Short() {
		guesses = 1000
	}
	for i := range guesses {
		switch got := from(fmt.Sprint("192.0.2.", i%10), guess); got {
		case "rthe code is not right":
			looked++
		default:
			if !strings.HasPrefix(got, "rtoo many wrong codes; try again in ") {
				t.Fatalf("guess %d: %q", i, got)
			}
		}
		if i == guesses/2 {
			if got := from("198.51.100.1", g.recovery[0]); got != "p" {
				t.Errorf("a recovery code in the middle: %q", got)
			}
		}
	}
	if got := from("203.0.113.1", string(totp.Code(g.secret, totp.StepAt(time.Now())+1))); looked > 200 || got != "p" {
		t.Errorf("%d were looked at; the rightful user: %q", looked, got)
	}
}

// TestGuessesFromEverywhere: a guesser with ever new addresses is stopped; the rightful user is not.
func TestGuessesFromEverywhere(t *testing.T) {
	g := openGate(t)
	g.enrols(t, "admin")
	from := func(host, code string) string {
		return g.asks(t, 0, module.Login{Op: module.FactorCheck, User: "admin", Host: host}, code)
	}
	if got := from("198.51.100.1", g.recovery[0]); got != "p" {
		t.Fatalf("before: %q", got)
	}
	guess, looked := wrong(g, 0), 0
	for i := range 1000 {
		if from(fmt.Sprintf("192.0.%d.%d", i/250, i%250), guess) == "rthe code is not right" {
			looked++
		}
	}
	if looked < 200 || looked > 201 {
		t.Errorf("%d were looked at", looked)
	}
	next := string(totp.Code(g.secret, totp.StepAt(time.Now())+1))
	if got := from("203.0.113.1", next); !strings.Contains(got, "use a recovery code, or come from an address that you have used before") {
		t.Errorf("from a new address: %q", got)
	}
	if got := from("198.51.100.1", next); got != "p" {
		t.Errorf("from a known one: %q", got)
	}
	if got := from("203.0.113.1", g.recovery[1]); got != "p" {
		t.Errorf("a recovery code from a new one: %q", got)
	}
}

// wrong is a code that is not valid at any time near now.
func wrong(g *gate, n int) string {
	for ; ; n++ {
		code := fmt.Sprintf("%06d", n)
		if _, near := totp.Offset(g.secret, []byte(code), time.Now(), 300); !near {
			return code
		}
	}
}

// TestOneCodeManyLogins: of many logins that show one code at once, one passes.
func TestOneCodeManyLogins(t *testing.T) {
	g := openGate(t)
	g.enrols(t, "admin")
	code := string(totp.Code(g.secret, totp.StepAt(time.Now())+1))
	var passed, refused atomic.Int64
	var all sync.WaitGroup
	for range codeConnections {
		all.Go(func() {
			switch got := g.asks(t, 0, module.Login{Op: module.FactorCheck, User: "admin", Host: "192.0.2.1"}, code); got[0] {
			case 'p':
				passed.Add(1)
			case 'r':
				refused.Add(1)
			}
		})
	}
	all.Wait()
	if passed.Load() != 1 || refused.Load() != codeConnections-1 {
		t.Errorf("%d passed, %d were refused", passed.Load(), refused.Load())
	}
}

// TestLoginWhileTheStateIsBusy: refused within the time that the module waits.
func TestLoginWhileTheStateIsBusy(t *testing.T) {
	g := openGate(t)
	g.enrols(t, "admin")
	defer occupy(t, g.engine.Load().Root(), "BEGIN EXCLUSIVE")()
	for _, op := range []string{module.FactorNeed, module.FactorCheck} {
		if got := g.asks(t, 0, module.Login{Op: op, User: "admin"}, g.recovery[0]); got != "r"+cannotTell {
			t.Errorf("%s: %q", op, got)
		}
	}
}

func BenchmarkCheckOfTenThousand(b *testing.B) {
	const accounts = 10_000
	g := openGate(b)
	g.enrols(b, "admin")
	var all []factor.Record
	passwd, shadow := "root:x:0:0::/root:/bin/sh\nadmin:x:1000:1000::/:/bin/sh\n", "admin:*:20000::::::\n"
	for i := range accounts {
		passwd += fmt.Sprintf("user%d:x:%d:1000::/home/user%d:/bin/sh\n", i, 2000+i, i)
		shadow += fmt.Sprintf("user%d:$y$j9T$0123456789abcdefghijkl$0123456789012345678901234567890123456789012:20000:0:99999:7:::\n", i)
		all = append(all, factor.Record{Subject: factor.Subject{Realm: factor.Local, Account: fmt.Sprint("user", i)}, State: factor.Enrolled, Generation: 1, Secret: make([]byte, 60)})
	}
	if err := g.engine.Load().State.TakeFactors(b.Context(), all); err != nil {
		b.Fatal(err)
	}
	root := g.engine.Load().Root()
	if err := errors.Join(inroot.Replace(root, "/etc/passwd", []byte(passwd), 0o644), inroot.Replace(root, "/etc/shadow", []byte(shadow), 0o600)); err != nil {
		b.Fatal(err)
	}
	for n := 0; b.Loop(); n++ {
		if n%len(g.recovery) == 0 {
			b.StopTimer()
			var err error
			if g.recovery, err = g.factors().Renew(b.Context(), factor.Subject{Realm: factor.Local, Account: "admin"}, who(g.engine.Load(), socket.Peer{PID: os.Getpid()})); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
		if got := g.asks(b, 0, module.Login{Op: module.FactorCheck, User: "admin", UID: "1000"}, g.recovery[n%len(g.recovery)]); got[0] != 'p' {
			b.Fatal(got)
		}
	}
}
