package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
)

// TestAttemptByAnotherThanRoot: the daemon receives the command but none of its arguments. The
// refusal is the same without a daemon, or with one that hangs.
func TestAttemptByAnotherThanRoot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "operator.sock")
	attempt := func() (status int, said string) {
		var err bytes.Buffer
		a := newApp(os.Stdin, &bytes.Buffer{}, &err)
		a.uid, a.operators = 1000, path
		root := newRoot(a)
		root.SetArgs([]string{"user", "set", "password", "admin", "secret"})
		command, failure := root.ExecuteContextC(t.Context())
		return a.finish(t.Context(), command, failure), err.String()
	}
	refused := func(what string) {
		t.Helper()
		if status, said := attempt(); status != 8 || !strings.Contains(said, "only root can do that") || strings.Count(said, "\n") != 2 {
			t.Errorf("%s: status %d, %s", what, status, said)
		}
	}
	refused("without a daemon")

	l, err := socket.Listen(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan operator.Request, 2)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	server := &socket.Server{Timeout: time.Second, Handler: func(ctx context.Context, r *socket.Request) {
		var q operator.Request
		if _, err := r.Conn.Receive(ctx, &q); err == nil {
			heard <- q
		}
		<-ctx.Done() // and no answer
	}}
	go func() { ended <- server.Serve(ctx, l) }()
	t.Cleanup(func() { stop(); <-ended })
	begin := time.Now()
	refused("with a daemon that hangs")
	if took := time.Since(begin); took > 4*reportWithin {
		t.Errorf("it waited for %v", took)
	}
	select {
	case q := <-heard:
		if q.Op != operator.OpRootTool || string(q.Args) != `{"verb":"user set password"}` || q.User != "" {
			t.Errorf("the daemon heard %+v", q)
		}
	case <-time.After(time.Minute):
		t.Error("the daemon heard nothing")
	}
}
