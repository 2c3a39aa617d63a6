package web

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/wire/socket"
)

// daemon answers each request by handle, which gets the secrets as text.
func daemon(t *testing.T, handle func(ctx context.Context, conn *socket.Conn, q Request, secrets []string)) Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "web.sock")
	l, err := socket.Listen(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	server := &socket.Server{Handler: func(ctx context.Context, r *socket.Request) {
		if err := r.Conn.SetLimits(socket.MaxPacket, 2); err != nil {
			t.Error(err)
			return
		}
		var q Request
		files, err := r.Conn.Receive(ctx, &q)
		if err != nil {
			t.Error(err)
			return
		}
		defer socket.CloseAll(files)
		var secrets []string
		for _, file := range files {
			secret, err := socket.ReadSecret(file, MaxPassword)
			if err != nil {
				t.Error(err)
			}
			secrets = append(secrets, string(secret))
		}
		handle(ctx, r.Conn, q, secrets)
	}}
	go func() { ended <- server.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return Client{Path: path}
}

func answers(t *testing.T, result any) func(context.Context, *socket.Conn, Request, []string) {
	return func(ctx context.Context, conn *socket.Conn, _ Request, _ []string) {
		packed, err := json.Marshal(result)
		if err == nil {
			err = conn.Send(ctx, Answer{Result: packed})
		}
		if err != nil {
			t.Error(err)
		}
	}
}

func secret(t *testing.T, text string) *Secret {
	t.Helper()
	s, err := NewSecret([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// TestRequests: what the daemon gets for each call.
func TestRequests(t *testing.T) {
	got := make(chan string, 1)
	c := daemon(t, func(ctx context.Context, conn *socket.Conn, q Request, secrets []string) {
		packed, err := json.Marshal(q)
		if err != nil {
			t.Error(err)
		}
		got <- strings.Join(append([]string{string(packed)}, secrets...), " ")
		if err := conn.Send(ctx, Answer{Result: json.RawMessage("{}")}); err != nil {
			t.Error(err)
		}
	})
	l, ctx := c.With("the token"), t.Context()
	code := func() Shown { return Shown{By: ByCode, Secret: secret(t, "123456")} }
	for name, call := range map[string]struct {
		do   func() error
		want string
	}{
		"sign in":      {func() error { _, err := c.SignIn(ctx, SignIn{"anna", "192.0.2.7"}, secret(t, "pw")); return err }, `{"op":"sign-in","args":{"name":"anna","address":"192.0.2.7"}} pw`},
		"code":         {func() error { _, err := l.Code(ctx, secret(t, "123456")); return err }, `{"op":"code","token":"the token"} 123456`},
		"password":     {func() error { _, err := l.SetPassword(ctx, secret(t, "old"), secret(t, "new")); return err }, `{"op":"set-password","token":"the token"} old new`},
		"enrol":        {func() error { _, err := l.Enrol(ctx, Shown{ByPassword, secret(t, "pw")}, nil); return err }, `{"op":"enrol","token":"the token","proof":"password"} pw`},
		"enrol anew":   {func() error { _, err := l.Enrol(ctx, Shown{ByPassword, secret(t, "pw")}, secret(t, "e")); return err }, `{"op":"enrol","token":"the token","proof":"password"} pw e`},
		"lock":         {func() error { _, err := l.Lock(ctx, "bert", code()); return err }, `{"op":"lock","token":"the token","user":"bert","proof":"code"} 123456`},
		"reset":        {func() error { _, err := l.ResetPassword(ctx, "bert", code(), secret(t, "new")); return err }, `{"op":"reset-password","token":"the token","user":"bert","proof":"code"} 123456 new`},
		"mail address": {func() error { return l.SetMail(ctx, "a@example.net", secret(t, "123456")) }, `{"op":"set-mail","token":"the token","args":{"address":"a@example.net"}} 123456`},
		"sign out":     {func() error { return l.SignOut(ctx) }, `{"op":"sign-out","token":"the token"}`},
	} {
		if err := call.do(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if said := <-got; said != call.want {
			t.Errorf("%s: the daemon got %s", name, said)
		}
	}
}

// TestAnswers: results, lists in several packets, refusals.
func TestAnswers(t *testing.T) {
	c := daemon(t, answers(t, Settings{Node: "east", Idle: time.Minute}))
	if s, err := c.Settings(t.Context()); err != nil || s.Node != "east" || s.Idle != time.Minute {
		t.Errorf("%+v, %v", s, err)
	}
	c = daemon(t, func(ctx context.Context, conn *socket.Conn, _ Request, _ []string) {
		for _, a := range []Answer{{Result: json.RawMessage(`[{"name":"anna"}]`), More: true}, {Result: json.RawMessage(`[{"name":"bert"}]`)}} {
			if err := conn.Send(ctx, a); err != nil {
				t.Error(err)
			}
		}
	})
	if users, err := c.With("x").Users(t.Context()); err != nil || len(users) != 2 || users[1].Name != "bert" {
		t.Errorf("%+v, %v", users, err)
	}
	c = daemon(t, func(ctx context.Context, conn *socket.Conn, _ Request, _ []string) {
		if err := conn.Send(ctx, Answer{Error: &Error{SignedOut, "you are not signed in any more"}}); err != nil {
			t.Error(err)
		}
	})
	var refusal *Error
	if _, err := c.With("x").Who(t.Context()); !errors.As(err, &refusal) || refusal.Kind != SignedOut {
		t.Errorf("%v", err)
	}
}

// TestNoAnswer: a change whose answer did not come may have been made. What only shows has failed.
func TestNoAnswer(t *testing.T) {
	c := daemon(t, func(context.Context, *socket.Conn, Request, []string) {})
	_, err := c.With("x").SetPassword(t.Context(), secret(t, "old"), secret(t, "new"))
	var refusal *Error
	if !errors.Is(err, ErrUnknownOutcome) || !errors.As(err, &refusal) || refusal.Kind != Unavailable {
		t.Errorf("a change: %v", err)
	}
	if _, err := c.With("x").Who(t.Context()); errors.Is(err, ErrUnknownOutcome) || !errors.As(err, &refusal) || refusal.Kind != Unavailable {
		t.Errorf("a question: %v", err)
	}
	c.Path += ".gone"
	_, err = c.With("x").SetPassword(t.Context(), secret(t, "old"), secret(t, "new"))
	if errors.Is(err, ErrUnknownOutcome) || !errors.As(err, &refusal) || refusal.Kind != Unavailable || refusal.Text != "shadowsync is not running" {
		t.Errorf("without a daemon: %v", err)
	}
}

// TestSecret: the caller's text is wiped, and nobody can change what was handed over.
func TestSecret(t *testing.T) {
	text := []byte("secret")
	s, err := NewSecret(text)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if string(text) != strings.Repeat("\x00", 6) {
		t.Errorf("left: %q", text)
	}
	if _, err := s.file.WriteAt([]byte("x"), 0); !errors.Is(err, os.ErrPermission) {
		t.Errorf("it can be written: %v", err)
	}
}
