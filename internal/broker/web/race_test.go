package web

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/shadowsync/shadowsync/internal/engine/enginetest"
	"github.com/shadowsync/shadowsync/shadowsync/web"
)

// TestChangeAtAnyMoment: whoever signs in with the old password while passwd sets another one is out when passwd
// has ended the sessions, at whatever step they were.
func TestChangeAtAnyMoment(t *testing.T) {
	s := open(t, "")
	_, recovery := s.enrols(t)
	hashes := []string{enginetest.OtherHash, enginetest.FormerHash}
	for i, code := range recovery {
		address, password, shown := fmt.Sprint("192.0.2.", 10+i), secret(t, right), secret(t, code)
		s.during(func() error { // the stack knows the password in force
			shadow, err := os.ReadFile(filepath.Join(s.Engine.Root(), "etc/shadow"))
			if err == nil && !strings.Contains(string(shadow), hashes[(i+1)%2]) {
				err = errors.New("another password is in force")
			}
			return err
		})
		var before web.Signed
		if i%2 == 0 { // one half is at the code already
			before = s.signIn(t)
		}
		var both sync.WaitGroup
		both.Go(func() {
			var err error
			if i%2 != 0 {
				before, err = s.SignIn(t.Context(), web.SignIn{Name: "user", Address: address}, password)
			}
			if err == nil {
				_, _ = s.With(before.Token).Code(t.Context(), shown)
			}
		})
		both.Go(func() {
			s.Sets(hashes[i%2])
			if _, survivors, err := s.sessions.EndBut(1000, ""); err != nil || len(survivors) != 0 {
				t.Errorf("%v, %v", survivors, err)
			}
		})
		both.Wait()
		all, err := s.sessions.Of(1000)
		if err != nil {
			t.Fatal(err)
		}
		if len(all) != 0 {
			t.Errorf("round %d: a session with the old password survived: %v", i, all)
		}
	}
}

// TestOneTokenTwice: of many requests with the token of one step one goes on at most, and no second session begins.
func TestOneTokenTwice(t *testing.T) {
	s := open(t, "")
	_, recovery := s.enrols(t)
	for len(recovery) >= 2 {
		token := s.signIn(t).Token
		signed := make(chan web.Signed, 2)
		var both sync.WaitGroup
		for _, code := range recovery[:2] {
			shown := secret(t, code)
			both.Go(func() {
				if one, err := s.With(token).Code(t.Context(), shown); err == nil {
					signed <- one
				}
			})
		}
		both.Wait()
		recovery = recovery[2:]
		if all, err := s.sessions.Of(1000); err != nil || len(all) != 1 || len(signed) != 1 {
			t.Fatalf("%d signed in, the sessions are %v, %v", len(signed), all, err)
		}
		if err := s.With((<-signed).Token).SignOut(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
