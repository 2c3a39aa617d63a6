package storeworker

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// liar answers every request after the first with the same packets.
func liar(t *testing.T, packets ...any) *Client {
	t.Helper()
	ours, theirs, err := socket.Pair()
	if err != nil {
		t.Fatal(err)
	}
	worker, err := socket.FromFile(theirs)
	if err = errors.Join(err, theirs.Close()); err != nil {
		t.Fatal(err)
	}
	if err := worker.SetLimits(100_000, 1); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	done := make(chan struct{})
	t.Cleanup(func() { _ = worker.Close(); cancel(); <-done })
	go func() {
		defer close(done)
		answers := []any{answer{Capabilities: &shadowsync.Capabilities{Fields: shadowsync.AllFields}}}
		for {
			var r request
			if _, err := worker.Receive(ctx, &r); err != nil {
				return
			}
			for _, a := range answers {
				if worker.Send(ctx, a) != nil {
					return
				}
			}
			answers = packets
		}
	}()
	c, err := Connect(ctx, ours, options("/x/user.json"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestLies(t *testing.T) {
	admin := record{Name: "admin", Credential: credential{Password: "x"}}
	tests := []struct {
		name    string
		packets []any
	}{
		{"another account", []any{answer{Records: []record{{Name: "root", Credential: credential{Password: "x"}}}}}},
		{"an account twice", []any{answer{Records: []record{admin, admin}}}},
		{"an account twice, later", []any{answer{Records: []record{admin}, More: true}, answer{Records: []record{admin}}}},
		{"another malformed account", []any{answer{Malformed: []malformed{{Name: "root"}}}}},
		{"an account read, and malformed", []any{answer{Records: []record{admin}, More: true}, answer{Malformed: []malformed{{Name: "admin"}}}}},
		{"without end", []any{answer{More: true}}},
		{"a long password", []any{answer{Records: []record{{Name: "admin", Credential: credential{Password: strings.Repeat("x", maxPassword+1)}}}}}},
		{"a long revision", []any{answer{Revision: strings.Repeat("x", maxText+1)}}},
		{"another account left alone", []any{answer{Left: []leftAlone{{Name: "root", Why: fault{Kind: "changed"}}}}}},
		{"an account fails as a store does", []any{answer{Left: []leftAlone{{Name: "admin", Why: fault{Kind: "unavailable"}}}}}},
		{"the store fails as an account does", []any{answer{Fault: &fault{Kind: "changed"}}}},
		{"an unknown kind", []any{answer{Fault: &fault{Kind: "?"}}}},
		{"no object", []any{5}},
		{"an enormous packet", []any{strings.Repeat("x", 80_000)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := liar(t, tt.packets...).Read(t.Context(), []string{"admin"})
			_, errWrite := liar(t, tt.packets...).Write(t.Context(), []shadowsync.Write{{Name: "admin"}})
			// Read ignores Left in an answer, and Write ignores Records.
			if err == nil && errWrite == nil {
				t.Fatal("the lie was believed")
			}
			for _, err := range []error{err, errWrite} {
				if err != nil && !errors.Is(err, shadowsync.ErrUnavailable) {
					t.Errorf("%v", err)
				}
			}
		})
	}
}

func TestLieEndsTheConnection(t *testing.T) {
	c := liar(t, answer{More: true})
	if _, err := c.Read(t.Context(), nil); err == nil || c.Usable() {
		t.Errorf("still usable after: %v", err)
	}
}

func TestReasonsAreForPeople(t *testing.T) {
	c := liar(t, answer{Fault: &fault{Kind: "malformed", Reason: "\x1b[2J\n" + strings.Repeat("x", 3*maxText)}})
	_, err := c.Revision(t.Context())
	if err == nil || strings.ContainsAny(err.Error(), "\x1b\n") || len(err.Error()) > maxText {
		t.Errorf("%q", err)
	}
}

func TestFieldsBeyondTheDriver(t *testing.T) {
	days := [6]shadowsync.Day{1, 2, 3, 4, 5, 6}
	c := liar(t, answer{Records: []record{{Name: "admin", Credential: credential{Password: "!x", MustChange: true, Days: &days}}}})
	got, err := c.Read(t.Context(), []string{"admin"})
	if want := (shadowsync.Credential{Hash: "x", Locked: true}); err != nil || got.Accounts["admin"].Credential != want {
		t.Errorf("%+v, %v", got, err)
	}
}
