package web

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/shadowsync/shadowsync/internal/broker/limit"
	"github.com/shadowsync/shadowsync/internal/password/pamworker"
	"github.com/shadowsync/shadowsync/internal/state"
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
	asked, visits := s.asked, len(s.visits)
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
	if s.asked != asked || len(s.visits) != visits {
		t.Errorf("the directory was asked %d times more, PAM %d times", s.asked-asked, len(s.visits)-visits)
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
	s.server.Operators.Proves = func(context.Context, pamworker.Visitor, string, *os.File) (pamworker.Answer, error) {
		return pamworker.Answer{}, os.ErrDeadlineExceeded
	}
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
		visits := len(s.visits)
		file, err := socket.SealedMemfd(make([]byte, size))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if got := s.raw(t, `{"op":"sign-in","args":{"name":"user","address":"192.0.2.7"}}`, file); got != want {
			t.Errorf("%d bytes: %s", size, got)
		}
		if proven := len(s.visits) - visits; (proven > 0) != (want == web.NotAuthenticated) {
			t.Errorf("%d bytes: %d proofs", size, proven)
		}
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
