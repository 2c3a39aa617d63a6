package broker

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/broker/keeper"
	"github.com/shadowsync/shadowsync/internal/broker/operators"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/password/policy"
	"github.com/shadowsync/shadowsync/internal/password/proof"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/internal/wire/module"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/internal/wire/worker"
	"github.com/shadowsync/shadowsync/systemd"
)

func TestMain(m *testing.M) {
	for _, w := range []worker.Command{policy.RulesCommand, policy.ReviewCommand, policy.JudgeCommand, proof.Command} {
		if w.Name != os.Args[len(os.Args)-1] {
			continue
		}
		if err := w.Main(context.Background(), os.Stdin); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestJudgementWhileTheStateIsBusy: the PAM module gets its answer before it gives up; otherwise it
// would accept a refused password. The judgement is audited afterwards.
func TestJudgementWhileTheStateIsBusy(t *testing.T) {
	for name, test := range map[string]struct{ lock, says, recorded string }{
		"it can be read":    {"BEGIN IMMEDIATE", "BAD PASSWORD", "refused"},
		"it cannot be read": {"BEGIN EXCLUSIVE", "BAD PASSWORD: " + unjudged, "not judged"},
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
			got := b.judge(t.Context(), b.engine.Load(), socket.Peer{PID: os.Getpid()}, "admin", false, []*os.File{token}).Text
			took, late := time.Since(start), judgedWithin+3*time.Second // margin for a busy machine
			if took >= late || !strings.HasPrefix(got, test.says) {
				t.Errorf("after %s it says %q, want %q", took, got, test.says)
			}
			recorded := test.recorded
			if strings.HasSuffix(got, unjudged) {
				recorded = "not judged" // on a busy machine, reading takes too long too
			}
			release()
			for _, k := range b.keepers {
				k.Wait()
			}
			found := false
			for r, err := range b.engine.Load().State.Trail(t.Context(), state.Query{}) {
				if err != nil {
					t.Fatal(err)
				}
				found = found || r.Event.Action == "judged" && strings.HasPrefix(r.Event.Reason, recorded)
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

// brokerOf makes a system below root with one local account, and a broker for it that is not
// running yet and manages one account. Settings are added to its configuration.
func brokerOf(t testing.TB, root, local, managed, settings string, more ...func(*engine.Options)) *Broker {
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
	options := engine.Options{Root: root, Config: c, Program: "test", StoreTimeout: time.Second, Guard: engine.NoGuard{}}
	for _, set := range more {
		set(&options)
	}
	e, err := engine.Open(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	b := &Broker{dialogues: &operators.Dialogues{}, log: log, turns: make(chan struct{}, mostJudged), keepers: map[string]*keeper.Keeper{
		c.Applications[0].Name: keeper.New(func() *engine.Engine { return e }, c.Applications[0], func() {}, log),
	}}
	b.engine.Store(e)
	return b
}

// occupy lets another holder take a lock of the state; the result releases it.
func occupy(t testing.TB, root, lock string) (release func()) {
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

// TestAnnouncementThatTakesTooLong: the PAM module must run into its own time-out of two seconds;
// otherwise it would not stay silent afterwards.
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
	if err := theirs.Send(ctx, module.Request{Op: "pam-changed", User: "admin"}); err != nil {
		t.Fatal(err)
	}
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		b.answerRoot(t.Context(), &socket.Request{Conn: ours, Peer: socket.Peer{PID: os.Getpid()}})
		_ = ours.Close()
	}()
	var got module.Message
	if _, err := theirs.Receive(ctx, &got); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it says %q, %v", got.Message, err)
	}
	_ = theirs.Close()
	<-answered
	lease.Release()
	for _, k := range b.keepers {
		k.Wait()
	}
}
