package web

import (
	"context"
	"errors"
	"testing"

	"github.com/shadowsync/shadowsync/internal/account/directory"
	"github.com/shadowsync/shadowsync/internal/account/sessions"
	"github.com/shadowsync/shadowsync/internal/account/shadowfile"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/shadowsync/web"
)

// TestDirectoryMeanwhile: nobody here has the hash of a directory's account. Whoever proves its password while its
// sessions are ended, as a change of that password does, is not signed in.
func TestDirectoryMeanwhile(t *testing.T) {
	s := open(t, "[second_factor]\nldap = true\n")
	s.people = []directory.Person{{Person: shadowfile.Person{Name: "anna", UID: 7001, GID: 7001}, Service: "sss"}}
	who := web.SignIn{Name: "anna", Address: from}
	first, err := s.SignIn(t.Context(), who, secret(t, right))
	if err != nil {
		t.Fatal(err)
	}
	if p, err := s.With(first.Token).Who(t.Context()); err != nil || p.Realm != "ldap" {
		t.Fatalf("%+v, %v", p, err)
	}
	prompts := s.server.Operators
	s.during(func() error {
		_, survivors, err := prompts.Dialogues.EndBut(context.Background(), shadowsync.Account{Name: "anna", UID: 7001}, sessions.Keep{})
		if len(survivors) > 0 {
			err = errors.New("a session survived")
		}
		return err
	})
	if signed, err := s.SignIn(t.Context(), who, secret(t, right)); kindOf(err) != web.SignedOut {
		t.Errorf("with a password of before: %+v, %v", signed, err)
	}
	if all, err := s.sessions.Of(7001); err != nil || len(all) != 0 {
		t.Errorf("the sessions are %v, %v", all, err)
	}
	s.during(nil)
	signed, err := s.SignIn(t.Context(), who, secret(t, right))
	if err != nil || signed.Next != web.NextNone {
		t.Fatalf("afterwards: %+v, %v", signed, err)
	}
	if _, err := s.With(signed.Token).Who(t.Context()); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// TestResetInDirectory: the page learns who may reset second factors in a directory. A plain user may not, whatever is
// asked, and a local account is none of a directory's.
func TestResetInDirectory(t *testing.T) {
	for settings, may := range map[string]bool{
		"[roles]\nadmin = [\"bosses\"]\n":                               false,
		"[roles]\nadmin = [\"bosses\"]\n[second_factor]\nldap = true\n": true,
	} {
		s := open(t, settings)
		l := s.With(s.signIn(t).Token)
		if p, err := l.Who(t.Context()); err != nil || p.Directory {
			t.Errorf("a plain user: %+v, %v", p, err)
		}
		if _, err := l.ResetDirectory2FA(t.Context(), "anna", secret(t, "123456")); kindOf(err) != web.NotPermitted {
			t.Errorf("a plain user: %v", err)
		}
		s.Write("group", "user:x:1000:\nbosses:x:1001:user\n")
		if p, err := l.Who(t.Context()); err != nil || p.Role != web.RoleAdmin || p.Directory != may {
			t.Errorf("an administrator with %q: %+v, %v", settings, p, err)
		}
		if !may {
			continue
		}
		s.people = []directory.Person{{Person: shadowfile.Person{Name: "anna", UID: 7001, GID: 7001}, Service: "sss"}}
		if _, err := l.ResetDirectory2FA(t.Context(), "user", secret(t, "123456")); kindOf(err) != web.NoAccount {
			t.Errorf("a local account: %v", err)
		}
	}
}
