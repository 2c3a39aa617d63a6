package broker

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/policy"
	"github.com/shadowsync/shadowsync/internal/socket"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/systemd"
)

func TestMain(m *testing.M) {
	workers := map[string]func(context.Context, *os.File) error{policy.RulesArgument: policy.RulesMain, policy.ReviewArgument: policy.ReviewMain}
	if work := workers[os.Args[len(os.Args)-1]]; work != nil {
		if err := work(context.Background(), os.Stdin); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestJudgementWhileTheStateIsBusy: the PAM module is answered before it gives up, or a
// refused password would be taken; what was judged is on record afterwards.
func TestJudgementWhileTheStateIsBusy(t *testing.T) {
	for name, test := range map[string]struct{ lock, says, recorded string }{
		"it can be read":    {"BEGIN IMMEDIATE", "BAD PASSWORD", "refused"},
		"it cannot be read": {"BEGIN EXCLUSIVE", "", "not judged"},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			b := judging(t, root)
			token, err := socket.SealedMemfd([]byte("short"))
			if err != nil {
				t.Fatal(err)
			}
			defer token.Close()
			release := occupy(t, root, test.lock)
			start := time.Now()
			got := b.judge(t.Context(), socket.Peer{PID: os.Getpid()}, "admin", false, []*os.File{token})
			took, late := time.Since(start), judgedWithin+600*time.Millisecond // for what a busy machine adds
			if took >= late || !strings.HasPrefix(got, test.says) || test.says == "" && got != "" {
				t.Errorf("after %s it says %q, want %q", took, got, test.says)
			}
			release()
			for _, k := range b.keepers {
				k.background.Wait()
			}
			found := false
			for r, err := range b.engine.Load().State.Audit(t.Context(), state.Query{}) {
				if err != nil {
					t.Fatal(err)
				}
				found = found || r.Event.Action == "judged" && strings.HasPrefix(r.Event.Reason, test.recorded)
			}
			if !found {
				t.Error("it is not on record")
			}
		})
	}
}

// judging returns a broker that judges the passwords of one account of the system below root.
func judging(t *testing.T, root string) *Broker {
	t.Helper()
	return brokerOf(t, root, "admin", "admin", "[password]\nmin_length = 12\n")
}

// brokerOf makes a system below root with one local account, and a broker for it, not
// yet running, that is to manage an account. What else its configuration says is settings.
func brokerOf(t *testing.T, root, local, managed, settings string) *Broker {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"passwd": ":x:1000:1000::/:/bin/sh\n", "group": ":x:1000:\n", "shadow": ":*:20000::::::\n"} {
		if err := os.WriteFile(filepath.Join(root, "etc", name), []byte(local+text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := config.Parse([]byte(settings + "[[application]]\nunit = \"128T.service\"\naccounts = [\"" + managed + "\"]\n"))
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	e, err := engine.Open(t.Context(), engine.Options{Root: root, Config: c, Program: "test", StoreTimeout: time.Second, Guard: noGuard{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	b := &Broker{dialogues: &dialogues{}, log: log, turns: make(chan struct{}, mostJudged), keepers: map[string]*keeper{
		c.Applications[0].Name: newKeeper(e, c.Applications[0], func() {}, log),
	}}
	b.engine.Store(e)
	return b
}

// occupy has another holder of the state keep its lock; the result gives it back.
func occupy(t *testing.T, root, lock string) (release func()) {
	t.Helper()
	pool, err := sql.Open("sqlite3", filepath.Join(root, engine.StateDir, state.FileName))
	if err != nil {
		t.Fatal(err)
	}
	pool.SetMaxOpenConns(1)
	if _, err := pool.Exec(lock); err != nil {
		t.Fatal(err)
	}
	return func() { _ = pool.Close() }
}

// TestAnnouncementThatTakesTooLong: the PAM module runs into its own two seconds, or it
// would not stay silent afterwards.
func TestAnnouncementThatTakesTooLong(t *testing.T) {
	root := t.TempDir()
	b := judging(t, root)
	b.writers = &writers{path: shadowPath(b.engine.Load())}
	b.guard = systemd.NewGuard(&systemd.Bus{})
	lease, err := state.NewLocker(filepath.Join(root, engine.StateDir), "another").Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ours, file, err := socket.Pair()
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := socket.FromFile(file)
	_ = file.Close()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := theirs.Send(ctx, request{Op: "pam-changed", User: "admin"}); err != nil {
		t.Fatal(err)
	}
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		b.answerRoot(t.Context(), &socket.Request{Conn: ours, Peer: socket.Peer{PID: os.Getpid()}})
		_ = ours.Close()
	}()
	var got answer
	if _, err := theirs.Receive(ctx, &got); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it says %q, %v", got.Message, err)
	}
	_ = theirs.Close()
	<-answered
	lease.Release()
	for _, k := range b.keepers {
		k.background.Wait()
	}
}

// noGuard keeps tests from the units of the machine that they run on.
type noGuard struct{}

func (noGuard) Set(context.Context, string, []string) error { return nil }
