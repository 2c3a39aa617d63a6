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

func (a *answers) Code(_ context.Context, t Turn) (*os.File, error) {
	a.asked = append(a.asked, fmt.Sprintf("%s %q %d", t.Ask, t.Weak, t.Left))
	if t.Setup != nil {
		a.asked = append(a.asked, "set up "+t.Setup.Key)
	}
	return socket.SealedMemfd([]byte("123456"))
}

// lead leads a dialogue as a broker that asks in these turns, and ends with the last, or dies.
func lead(t *testing.T, op Op, turns []Turn, last *Turn) Client {
	return serve(t, func(ctx context.Context, conn *socket.Conn, q Request) {
		if q.Op != op {
			t.Errorf("asked for %s, want %s", q.Op, op)
		}
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
		if last != nil {
			_ = conn.Send(ctx, last)
		}
	})
}

// TestRecoveryCodes: both dialogues about a second factor end with recovery codes. If the broker dies
// after the code was sent, nobody says that nothing was changed.
func TestRecoveryCodes(t *testing.T) {
	turns := []Turn{{Ask: AskCurrent}, {Ask: AskEnrolment, Left: 2}, {Ask: AskCode, Left: 2, Setup: &Setup{Key: "ABCD"}}, {Ask: AskCode, Weak: "no", Left: 1}}
	for op, call := range map[Op]func(Client, Asker) ([]string, error){
		OpEnrol2FA:   func(c Client, a Asker) ([]string, error) { return c.Enrol2FA(t.Context(), a) },
		OpRenewCodes: func(c Client, a Asker) ([]string, error) { return c.RenewCodes(t.Context(), a) },
	} {
		a := &answers{}
		codes, err := call(lead(t, op, turns, &Turn{Done: true, Recovery: []string{"a", "b"}}), a)
		if err != nil || !slices.Equal(codes, []string{"a", "b"}) {
			t.Errorf("%s: %q, %v", op, codes, err)
		}
		if want := []string{"current", `enrolment "" 2`, `code "" 2`, "set up ABCD", `code "no" 1`}; !slices.Equal(a.asked, want) {
			t.Errorf("%s asked %q, want %q", op, a.asked, want)
		}
		codes, err = call(lead(t, op, turns, nil), a)
		if err == nil || codes != nil || strings.Contains(err.Error(), "nothing was changed") || errors.Is(err, ErrUnknownOutcome) {
			t.Errorf("%s, the broker dies: %q, %v", op, codes, err)
		}
		_, err = call(lead(t, op, turns[:1], nil), a)
		if err == nil || !strings.Contains(err.Error(), "nothing was changed") {
			t.Errorf("%s, the broker dies before a code: %v", op, err)
		}
		var refusal *Error
		if _, err = call(lead(t, op, turns[:2], &Turn{Error: Errorf(CodeRefused, "no")}), a); !errors.As(err, &refusal) || refusal.Kind.Exit() != 7 {
			t.Errorf("%s, refused: %v", op, err)
		}
	}
}

func TestSetPassword(t *testing.T) {
	turns := []Turn{{Ask: AskCurrent}, {Ask: AskCode, Left: 2}, {Ask: AskNew, Left: 2}, {Ask: AskNew, Weak: "too short", Left: 1}}
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
			c := lead(t, OpSetPassword, turns, tt.last)
			a := &answers{}
			notes, err := c.SetPassword(t.Context(), a)
			if !slices.Equal(notes, tt.notes) || !tt.check(err) {
				t.Errorf("got %q, %v", notes, err)
			}
			if want := []string{"current", `code "" 2`, `new "" 2`, `new "too short" 1`}; !slices.Equal(a.asked, want) {
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
		for _, at := range []Secret{AskCurrent, AskCode, AskNew} {
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

func (h hesitant) Code(ctx context.Context, _ Turn) (*os.File, error) { return h.Current(ctx) }

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
