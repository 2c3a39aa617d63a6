package web

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/shadowsync/shadowsync/internal/broker/limit"
	"github.com/shadowsync/shadowsync/internal/engine/enginetest"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/internal/test/eventually"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/shadowsync/web"
)

func (s *site) tries(t *testing.T, name, address, password string) error {
	t.Helper()
	_, err := s.SignIn(t.Context(), web.SignIn{Name: name, Address: address}, secret(t, password))
	return err
}

// TestTooSoon: who tries too often is refused before any name is looked up. So the time of the refusal tells
// nothing about a name, and costs nothing.
func TestTooSoon(t *testing.T) {
	s := open(t, "[second_factor]\nldap = true\n")
	names := []string{"user", "root", "nobody-here"}
	for _, name := range names {
		for range limit.Free {
			if err := s.tries(t, name, from, "wrong"); kindOf(err) != web.NotAuthenticated {
				t.Fatal(err)
			}
		}
	}
	asked, visits := s.asked.Load(), len(s.proven())
	if asked == 0 {
		t.Fatal("the directory is not asked at all")
	}
	if err := os.Remove(filepath.Join(s.Engine.Root(), "etc/shadow")); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := s.tries(t, name, from, right); kindOf(err) != web.TooMany {
			t.Errorf("%s: %v", name, err)
		}
	}
	if more, proofs := s.asked.Load()-asked, len(s.proven())-visits; more+int64(proofs) != 0 {
		t.Errorf("the directory was asked %d times more, PAM %d times", more, proofs)
	}
}

// TestManyNetworksOfOne: whoever has 65,536 networks of IPv6 keeps nobody else from signing in.
func TestManyNetworksOfOne(t *testing.T) {
	s := open(t, "")
	for i := range 100 {
		_ = s.tries(t, fmt.Sprint("nobody", i), fmt.Sprintf("2001:db8:7:%x::1", i), "wrong")
	}
	if err := s.tries(t, "user", "2001:db8:8::1", right); err != nil {
		t.Errorf("somebody else: %v", err)
	}
	if err := s.tries(t, "user", from, right); err != nil {
		t.Errorf("with IPv4: %v", err)
	}
}

// TestNameMayBeAPassword: what was typed as a name is in no record, nor is anything that it could be guessed by.
func TestNameMayBeAPassword(t *testing.T) {
	s := open(t, "")
	s.during(func() error { return os.ErrDeadlineExceeded })
	if err := s.tries(t, "My secret password", from, "user"); kindOf(err) != web.Unavailable {
		t.Fatal(err)
	}
	for r, err := range s.State.Trail(t.Context(), state.Query{}) {
		if err != nil || r.Event.Account != "" && r.Event.Account != "user" {
			t.Errorf("recorded: %+v, %v", r.Event, err)
		}
	}
	if !s.Audited("sign in", "failed: the PAM stack") {
		t.Error("the failure is not recorded")
	}
}

// TestLargeSecret: a secret that is too long for any password reaches no PAM stack.
func TestLargeSecret(t *testing.T) {
	s := open(t, "")
	for size, want := range map[int]web.Kind{web.MaxPassword: web.NotAuthenticated, web.MaxPassword + 1: web.Usage, 8 << 20: web.Usage} {
		visits := len(s.proven())
		file, err := socket.SealedMemfd(make([]byte, size))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if got := s.raw(t, `{"op":"sign-in","args":{"name":"user","address":"192.0.2.7"}}`, file); got != want {
			t.Errorf("%d bytes: %s", size, got)
		}
		if proven := len(s.proven()) - visits; (proven > 0) != (want == web.NotAuthenticated) {
			t.Errorf("%d bytes: %d proofs", size, proven)
		}
	}
}

// TestOneOfMany: whoever asks for more at a time than browsers do leaves room for others.
func TestOneOfMany(t *testing.T) {
	s := open(t, "")
	l := s.With(s.signIn(t).Token)
	for range mostOfOne {
		if !s.server.enter(1000) {
			t.Fatal("refused")
		}
	}
	if _, err := l.Who(t.Context()); kindOf(err) != web.TooMany {
		t.Errorf("one more: %v", err)
	}
	if !s.server.enter(1001) {
		t.Error("another person is refused, too")
	}
	s.server.leave(1000)
	if _, err := l.Who(t.Context()); err != nil {
		t.Errorf("after one has ended: %v", err)
	}
	eventually.Holds(t, "an answered request counts no more", func() bool { return s.server.enter(1000) })
	if err := l.SignOut(t.Context()); err != nil {
		t.Errorf("signing out: %v", err)
	}
}

// TestStrangersPassword: an administrator whom no application manages is signed out by each change of the
// password. Nobody announces one, and nothing else ends the session.
func TestStrangersPassword(t *testing.T) {
	s := open(t, "[roles]\nadmin = [\"operators\"]\n")
	shadow := func(user, boss string) {
		s.Write("shadow", "user:"+user+":20000::::::\nboss:"+boss+":20000::::::\n")
	}
	s.Write("passwd", "user:x:1000:1000::/:/bin/sh\nboss:x:1001:1001::/:/bin/sh\n")
	s.Write("group", "operators:x:50:boss\n")
	shadow(enginetest.FormerHash, enginetest.FormerHash)
	signed, err := s.SignIn(t.Context(), web.SignIn{Name: "boss", Address: from}, secret(t, right))
	if err != nil {
		t.Fatal(err)
	}
	boss, user := s.With(signed.Token), s.With(s.signIn(t).Token)
	shadow(enginetest.OtherHash, enginetest.FormerHash)
	if _, err := user.Who(t.Context()); err != nil { // a hash alone ends nothing by default: the keepers decide
		t.Errorf("a managed account: %v", err)
	}
	if _, err := boss.Users(t.Context()); err != nil {
		t.Errorf("after a change of another account: %v", err)
	}
	shadow(enginetest.OtherHash, enginetest.OtherHash)
	if _, err := boss.Users(t.Context()); kindOf(err) != web.SignedOut {
		t.Errorf("%v", err)
	}
}

// TestListsOneByOne: a list waits while as many as the memory has room for are on their way.
func TestListsOneByOne(t *testing.T) {
	s := open(t, "")
	l := s.With(s.signIn(t).Token)
	var done func()
	for range mostLists {
		var err error
		if done, err = s.server.turn(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.server.turn(gone); kindOf(err) != web.TooMany {
		t.Errorf("one more: %v", err)
	}
	listed := make(chan error, 1)
	go func() {
		_, err := l.Users(t.Context())
		listed <- err
	}()
	if _, err := l.Who(t.Context()); err != nil {
		t.Errorf("what is no list: %v", err)
	}
	done()
	if err := <-listed; err != nil {
		t.Errorf("a list, when there is room: %v", err)
	}
	eventually.Holds(t, "a list that was sent takes no room", func() bool { return len(s.server.listing) == mostLists-1 })
}

// TestShutMeanwhile: a session ends with the lock of its account, also if nobody asks before it is unlocked; and
// with the account, also if another person gets one with its name and its uid.
func TestShutMeanwhile(t *testing.T) {
	for what, shut := range map[string]func(s *site){
		"locked":  func(s *site) { s.Write("shadow", "user:!"+enginetest.FormerHash+":20000::::::\n") },
		"expired": func(s *site) { s.Write("shadow", "user:"+enginetest.FormerHash+":20000:::::1:\n") },
		"gone":    func(s *site) { s.Write("shadow", "root:*:20000::::::\n") },
		"new uid": func(s *site) { s.Write("passwd", "user:x:1001:1000::/:/bin/sh\n") },
	} {
		t.Run(what, func(t *testing.T) {
			s := open(t, "")
			before := map[string]string{}
			for _, name := range []string{"passwd", "shadow"} {
				text, err := os.ReadFile(filepath.Join(s.Engine.Root(), "etc", name))
				if err != nil {
					t.Fatal(err)
				}
				before[name] = string(text)
			}
			l := s.With(s.signIn(t).Token)
			changed := make(chan struct{})
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan struct{})
			go func() {
				s.server.Follow(ctx, changed)
				close(ended)
			}()
			look := func() { changed <- struct{}{}; changed <- struct{}{} } // the first was looked at when the second is taken
			look()
			if _, err := l.Who(t.Context()); err != nil {
				t.Fatalf("before: %v", err)
			}
			shut(s)
			look()
			for name, text := range before {
				s.Write(name, text)
			}
			look()
			if _, err := l.Who(t.Context()); kindOf(err) != web.SignedOut {
				t.Errorf("after it was opened again: %v", err)
			}
			stop()
			<-ended
		})
	}
}

// raw sends a packet as it is, and returns the kind of the answer's error.
func (s *site) raw(t *testing.T, packet string, files ...*os.File) web.Kind {
	t.Helper()
	conn, err := socket.Dial(t.Context(), s.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Send(t.Context(), json.RawMessage(packet), files...); err != nil {
		t.Fatal(err)
	}
	var answer web.Answer
	if err := conn.ReceiveAnswer(t.Context(), &answer); err != nil {
		return web.Kind(err.Error())
	}
	if answer.Error == nil {
		return ""
	}
	return answer.Error.Kind
}
