package storeworker

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// opaque is a store of an application's own scheme, with neither revision nor watch.
type opaque struct {
	shadowsync.CredentialStore
	values map[string]string
}

func (opaque) Capabilities() shadowsync.Capabilities {
	return shadowsync.Capabilities{Fields: shadowsync.AllFields, Scheme: "own"}
}

func (opaque) Revision(context.Context) (string, error) { return "", shadowsync.ErrNoRevision }

func (opaque) Watch(context.Context) (<-chan struct{}, error) { return nil, shadowsync.ErrNoWatch }

func (s opaque) Read(context.Context, []string) (shadowsync.StoreSnapshot, error) {
	all := shadowsync.StoreSnapshot{Accounts: map[string]shadowsync.StoredAccount{}}
	for name, value := range s.values {
		all.Accounts[name] = shadowsync.StoredAccount{Credential: shadowsync.Credential{Hash: value}}
	}
	return all, nil
}

func (s opaque) Write(_ context.Context, writes []shadowsync.Write) (shadowsync.Unwritten, error) {
	for _, w := range writes {
		if s.values[w.Name] != w.Expect.Hash || w.Want.Locked {
			return nil, errors.New("another value arrived")
		}
		s.values[w.Name] = w.Want.Hash
	}
	return nil, nil
}

// serving returns the client of a worker that serves s.
func serving(t *testing.T, s shadowsync.CredentialStore) *Client {
	t.Helper()
	ours, theirs, err := socket.Pair()
	if err != nil {
		t.Fatal(err)
	}
	worker, err := socket.FromFile(theirs)
	if err = errors.Join(err, theirs.Close()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	done := make(chan struct{})
	t.Cleanup(func() { _ = worker.Close(); cancel(); <-done })
	go func() {
		defer close(done)
		var r request
		if _, err := worker.Receive(ctx, &r); err != nil {
			return
		}
		capabilities := s.Capabilities()
		if worker.Send(ctx, answer{Capabilities: &capabilities}) == nil {
			_ = Serve(ctx, worker, s)
		}
	}()
	c, err := Connect(ctx, ours, options("/x/user.json"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestOpaqueValues: what looks like a lock mark of crypt(3) is a part of the value, both ways.
func TestOpaqueValues(t *testing.T) {
	for _, value := range []string{"!", "*", "", "!!x", "$6$x", "one\x1ftwo\x1fthree", "x"} {
		t.Run(value, func(t *testing.T) {
			s := opaque{values: map[string]string{"admin": value}}
			c := serving(t, s)
			if got := c.Capabilities(); got.Scheme != "own" || got.Fields != shadowsync.FieldHash {
				t.Errorf("the client says %+v", got)
			}
			read, err := c.Read(t.Context(), []string{"admin"})
			if got := read.Accounts["admin"].Credential; err != nil || got != (shadowsync.Credential{Hash: value}) {
				t.Fatalf("read %+v, %v", got, err)
			}
			w := shadowsync.Write{Name: "admin", Expect: shadowsync.Credential{Hash: value}, Want: shadowsync.Credential{Hash: "!" + value}}
			if left, err := c.Write(t.Context(), []shadowsync.Write{w}); err != nil || len(left) > 0 {
				t.Fatalf("left %v, %v", left, err)
			}
			read, err = c.Read(t.Context(), []string{"admin"})
			if got := read.Accounts["admin"].Hash; err != nil || got != "!"+value {
				t.Errorf("the store holds %q: %v", got, err)
			}
		})
	}
}

// TestValuesThatJSONWouldChange are malformed: what is read must be what the store holds.
func TestValuesThatJSONWouldChange(t *testing.T) {
	c := serving(t, opaque{values: map[string]string{"admin": "\xff\xfe"}})
	read, err := c.Read(t.Context(), []string{"admin"})
	if _, there := read.Accounts["admin"]; err != nil || there || read.Malformed["admin"] == "" {
		t.Errorf("read %+v, %v", read, err)
	}
}

// TestWhatAStoreLacks: that it has no revision and no watch is no failure, and ends no connection.
func TestWhatAStoreLacks(t *testing.T) {
	c := serving(t, opaque{})
	if _, err := c.Revision(t.Context()); !errors.Is(err, shadowsync.ErrNoRevision) || errors.Is(err, shadowsync.ErrUnavailable) {
		t.Errorf("Revision says %v", err)
	}
	if _, err := c.Watch(t.Context()); !errors.Is(err, shadowsync.ErrNoWatch) || errors.Is(err, shadowsync.ErrUnavailable) {
		t.Errorf("Watch says %v", err)
	}
	if !c.Usable() {
		t.Error("that ended the connection")
	}
	_, err := liar(t, answer{Left: []leftAlone{{Name: "admin", Why: fault{Kind: "no-watch"}}}}).Write(t.Context(), []shadowsync.Write{{Name: "admin"}})
	if !errors.Is(err, shadowsync.ErrUnavailable) {
		t.Errorf("an account without a watch: %v", err)
	}
}
