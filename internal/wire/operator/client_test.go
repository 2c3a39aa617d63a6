package operator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/wire/socket"
)

// serve runs a broker that answers every connection with handle.
func serve(t *testing.T, handle func(context.Context, *socket.Conn, Request)) Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "operator.sock")
	l, err := socket.Listen(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	server := &socket.Server{Timeout: 5 * time.Second, Handler: func(ctx context.Context, r *socket.Request) {
		var q Request
		files, err := r.Conn.Receive(ctx, &q)
		if err != nil {
			return
		}
		for _, f := range files {
			f.Close()
		}
		handle(ctx, r.Conn, q)
	}}
	go func() { ended <- server.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, l.Close()); err != nil {
			t.Error(err)
		}
	})
	return Client{Path: path}
}

func TestLongList(t *testing.T) {
	for _, n := range []int{0, 1, 10_000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			want := make([]string, n)
			for i := range want {
				want[i] = fmt.Sprintf("user-%05d", i)
			}
			c := serve(t, func(ctx context.Context, conn *socket.Conn, q Request) {
				if err := SendList(ctx, conn, want); err != nil {
					t.Error(err)
				}
			})
			got, err := c.Names(t.Context())
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("got %d names, %v", len(got), err)
			}
		})
	}
}

func TestErrorsKeepTheirKind(t *testing.T) {
	c := serve(t, func(ctx context.Context, conn *socket.Conn, q Request) {
		if q.Op == OpLock {
			_ = SendError(ctx, conn, Errorf(NoAccount, "no such account: %s", q.User))
		}
	})
	var refusal *Error
	if _, err := c.Lock(t.Context(), "x"); !errors.As(err, &refusal) || refusal.Kind.Exit() != 5 || err.Error() != "no such account: x" {
		t.Errorf("refused: %v", err)
	}
	if _, err := c.Unlock(t.Context(), "x"); !errors.As(err, &refusal) || refusal.Kind != Unavailable {
		t.Errorf("hung up: %v", err)
	}
	if _, err := (Client{Path: "/nonexistent"}).Hello(t.Context()); !errors.As(err, &refusal) || refusal.Kind != Unavailable {
		t.Errorf("not running: %v", err)
	}
}

// answers is an Asker that never waits.
type answers struct{ asked []string }

func (a *answers) Current(context.Context) (*os.File, error) {
	a.asked = append(a.asked, "current")
	return socket.SealedMemfd([]byte("old"))
}

func (a *answers) New(_ context.Context, weak string, left int) (*os.File, error) {
	a.asked = append(a.asked, fmt.Sprintf("new %q %d", weak, left))
	return socket.SealedMemfd([]byte("new"))
}

func TestSetPassword(t *testing.T) {
	turns := []Turn{{Ask: AskCurrent}, {Ask: AskNew, Left: 2}, {Ask: AskNew, Weak: "too short", Left: 1}}
	tests := []struct {
		name  string
		last  *Turn
		notes []string
		check func(error) bool
	}{
		{"done", &Turn{Done: true, Notes: []string{"a door"}}, []string{"a door"}, func(err error) bool { return err == nil }},
		{"refused", &Turn{Error: Errorf(Policy, "no")}, nil, func(err error) bool {
			var refusal *Error
			return errors.As(err, &refusal) && refusal.Kind == Policy && !errors.Is(err, ErrUnknownOutcome)
		}},
		{"the broker dies", nil, nil, func(err error) bool { return errors.Is(err, ErrUnknownOutcome) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := serve(t, func(ctx context.Context, conn *socket.Conn, q Request) {
				for _, turn := range turns {
					var r Reply
					if err := conn.Send(ctx, turn); err != nil {
						t.Error(err)
					}
					files, err := conn.Receive(ctx, &r)
					if err != nil || len(files) != 1 {
						t.Errorf("%d descriptors, %v", len(files), err)
						return
					}
					files[0].Close()
				}
				if tt.last != nil {
					_ = conn.Send(ctx, tt.last)
				}
			})
			a := &answers{}
			notes, err := c.SetPassword(t.Context(), a)
			if !slices.Equal(notes, tt.notes) || !tt.check(err) {
				t.Errorf("got %q, %v", notes, err)
			}
			if want := []string{"current", `new "" 2`, `new "too short" 1`}; !slices.Equal(a.asked, want) {
				t.Errorf("asked %q, want %q", a.asked, want)
			}
		})
	}
}

// TestBrokerHangsUp: the client reports what the broker said last, whenever it hung up. Before the
// new password was sent, it also reports that nothing was changed.
func TestBrokerHangsUp(t *testing.T) {
	restarting := Errorf(Unavailable, "shadowsync is restarting; nothing was changed")
	for _, last := range []*Error{restarting, nil} {
		for _, at := range []Secret{AskCurrent, AskNew} {
			for _, when := range []string{"before the answer", "with the answer unread"} {
				t.Run(fmt.Sprintf("%v, %s, %s", last != nil, at, when), func(t *testing.T) {
					gone, given := make(chan struct{}), make(chan struct{})
					c := serve(t, func(ctx context.Context, conn *socket.Conn, q Request) {
						defer close(gone)
						defer conn.Close()
						_ = conn.Send(ctx, Turn{Ask: at})
						if when != "before the answer" {
							<-given
						}
						if last != nil {
							_ = conn.Send(ctx, Turn{Error: last})
						}
					})
					_, err := c.SetPassword(t.Context(), hesitant{func() {
						if when == "before the answer" {
							<-gone
						} else {
							time.AfterFunc(50*time.Millisecond, func() { close(given) })
						}
					}})
					unknown := at == AskNew && when != "before the answer" && last == nil
					if errors.Is(err, ErrUnknownOutcome) != unknown {
						t.Errorf("unknown: %v", err)
					}
					if !unknown && (err == nil || !strings.HasSuffix(err.Error(), "; nothing was changed")) {
						t.Errorf("the operator is told %q", err)
					}
					if last != nil && (err == nil || err.Error() != last.Text) {
						t.Errorf("the operator is told %q, the broker said %q", err, last.Text)
					}
				})
			}
		}
	}
}

// hesitant is an Asker that types only after something has happened.
type hesitant struct{ wait func() }

func (h hesitant) Current(context.Context) (*os.File, error) {
	h.wait()
	return socket.SealedMemfd([]byte("old"))
}

func (h hesitant) New(ctx context.Context, _ string, _ int) (*os.File, error) { return h.Current(ctx) }

func TestOutcome(t *testing.T) {
	given := time.Now()
	for name, last := range map[string]Turn{
		"it stands":           {Done: true, Notes: []string{"a door"}},
		"nothing was changed": {Error: Errorf(Failed, "nothing was changed")},
	} {
		t.Run(name, func(t *testing.T) {
			c := serve(t, func(ctx context.Context, conn *socket.Conn, q Request) {
				var args Given
				if err := json.Unmarshal(q.Args, &args); err != nil || q.Op != OpOutcome || !args.At.Equal(given) {
					t.Errorf("asked %s with %+v, %v", q.Op, args, err)
				}
				_ = conn.Send(ctx, last)
			})
			notes, err := c.Outcome(t.Context(), given)
			if (err == nil) != last.Done || !slices.Equal(notes, last.Notes) {
				t.Errorf("got %q, %v", notes, err)
			}
		})
	}
}
