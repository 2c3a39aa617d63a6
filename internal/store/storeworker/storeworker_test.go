package storeworker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/store"
	"github.com/shadowsync/shadowsync/internal/store/sqldb/sqltest"
	"github.com/shadowsync/shadowsync/internal/test/eventually"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/internal/wire/worker"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// TestMain lets the test binary run as the worker that Spawn starts.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == Command.Name {
		if err := run(context.Background(), os.Stdin); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(sqltest.Run(m))
}

func options(path string) store.Options {
	return store.Options{Driver: "json", Path: path, Keys: map[string]any{"users": "/u", "name": "name", "password": "password"}}
}

// crowd makes a store file of n accounts.
func crowd(t testing.TB, folder string, n int) (path string, names []string) {
	t.Helper()
	var b strings.Builder
	b.WriteString(`{"u": [`)
	for i := range n {
		if i > 0 {
			b.WriteString(",\n")
		}
		names = append(names, fmt.Sprintf("user%06d", i))
		fmt.Fprintf(&b, `  {"name": %q, "role": ["user"], "enabled": true, "password": "$6$saltsalt$%086d"}`, names[i], i)
	}
	b.WriteString("]}\n")
	path = filepath.Join(folder, "user.json")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, names
}

func spawn(t testing.TB, path string) *Client {
	t.Helper()
	c, err := Spawn(t.Context(), options(path))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// workerOf returns the process at the other end.
func workerOf(t testing.TB, c *Client) int {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/children", os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	children := strings.Fields(string(raw))
	tasks, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		raw, _ := os.ReadFile(task) // the thread may have ended
		children = append(children, strings.Fields(string(raw))...)
	}
	for _, child := range children {
		command, _ := os.ReadFile("/proc/" + child + "/cmdline")
		if string(command) == "shadowsync\x00worker\x00" {
			var pid int
			if _, err := fmt.Sscan(child, &pid); err == nil {
				return pid
			}
		}
	}
	t.Fatal("there is no worker")
	return 0
}

func TestThroughTheWorker(t *testing.T) {
	path, names := crowd(t, t.TempDir(), 3000)
	c := spawn(t, path)
	if got := c.Capabilities().Fields; got != shadowsync.FieldHash|shadowsync.FieldLocked {
		t.Errorf("fields are %b", got)
	}
	before, err := c.Read(t.Context(), append(names, "nobody", names[0], strings.Repeat("x", 1<<20)))
	if err != nil || len(before.Accounts) != len(names) {
		t.Fatalf("read %d accounts: %v", len(before.Accounts), err)
	}
	if revision, err := c.Revision(t.Context()); err != nil || revision != before.Revision {
		t.Errorf("Revision %q, %v; Read gave %q", revision, err, before.Revision)
	}
	var writes []shadowsync.Write
	for i, name := range names {
		want := shadowsync.Credential{Hash: fmt.Sprint("$6$new$", i), Locked: i%2 == 0}
		writes = append(writes, shadowsync.Write{Name: name, Expect: before.Accounts[name].Credential, Want: want})
	}
	writes[5].Expect.Hash = "another"
	writes = append(writes,
		shadowsync.Write{Name: "nobody"}, shadowsync.Write{Name: "new", Create: true},
		shadowsync.Write{Name: "long", Want: shadowsync.Credential{Hash: strings.Repeat("x", maxPassword+1)}})
	left, err := c.Write(t.Context(), writes)
	if err != nil || len(left) != 4 {
		t.Fatalf("left alone %v: %v", left, err)
	}
	var refused *shadowsync.RefusedError
	if !errors.Is(left[names[5]], shadowsync.ErrChanged) || !errors.Is(left["nobody"], shadowsync.ErrNoAccount) ||
		!errors.As(left["new"], &refused) || !strings.Contains(refused.Reason, "not in the store") || !errors.As(left["long"], &refused) {
		t.Errorf("left alone: %v", left)
	}
	after, err := c.Read(t.Context(), names)
	if err != nil {
		t.Fatal(err)
	}
	for i, w := range writes[:len(names)] {
		if got := after.Accounts[w.Name].Credential; i != 5 && got != w.Want {
			t.Fatalf("%s is %+v, want %+v", w.Name, got, w.Want)
		}
	}
}

func TestWorstRecordFitsInAPacket(t *testing.T) {
	folder := t.TempDir()
	name := strings.Repeat("\x01", maxName)
	first := strings.Repeat("\x02", 600)
	path := filepath.Join(folder, "user.json")
	text := fmt.Sprintf(`{"u":[{"name":"%s","password":"%s"}]}`, strings.Repeat(`\u0001`, maxName), strings.Repeat(`\u0002`, len(first)))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c := spawn(t, path)
	got, err := c.Read(t.Context(), []string{name})
	if err != nil || got.Accounts[name].Hash != first {
		t.Fatalf("read %v: %v", got, err)
	}
	long := shadowsync.Credential{Hash: strings.Repeat("<", maxPassword)}
	left, err := c.Write(t.Context(), []shadowsync.Write{{Name: name, Expect: long, Want: long}})
	if err != nil || !errors.Is(left[name], shadowsync.ErrChanged) {
		t.Errorf("left alone %v: %v", left, err)
	}
}

func TestErrorsKeepTheirKind(t *testing.T) {
	path, names := crowd(t, t.TempDir(), 1)
	c := spawn(t, path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	_, err := c.Revision(t.Context())
	if !errors.Is(err, shadowsync.ErrUnavailable) || !errors.Is(err, unix.ENOENT) || err.Error() != "no such file or directory" {
		t.Errorf("missing: %v", err)
	}
	if err := os.WriteFile(path, []byte(`{"u":[`), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = c.Read(t.Context(), names)
	if !errors.Is(err, shadowsync.ErrMalformed) || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("malformed: %v", err)
	}
	if !c.Usable() {
		t.Error("the store's own errors ended the connection")
	}
	bad := options(path)
	bad.Keys["x"] = true
	if _, err := Spawn(t.Context(), bad); err == nil || !strings.Contains(err.Error(), `unknown key "x"`) {
		t.Errorf("bad options: %v", err)
	}
	if _, err := Spawn(t.Context(), options("/nowhere/x.json")); !errors.Is(err, unix.ENOENT) || !errors.Is(err, shadowsync.ErrUnavailable) {
		t.Errorf("missing folder: %v", err)
	}
}

// TestMalformedRecordsOfACrowd: each malformed record is reported, and hides no other account.
func TestMalformedRecordsOfACrowd(t *testing.T) {
	const n = 3 * perPacket
	path, names := crowd(t, t.TempDir(), n)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names[:n/2] {
		data = bytes.Replace(data, []byte(`"`+name+`"`), []byte(`"`+name+`","password":1`), 1)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	c := spawn(t, path)
	got, err := c.Read(t.Context(), names)
	if err != nil || len(got.Malformed) != n/2 || len(got.Accounts) != n-n/2 {
		t.Fatalf("%d malformed, %d read, %v", len(got.Malformed), len(got.Accounts), err)
	}
	left, err := c.Write(t.Context(), []shadowsync.Write{{Name: names[0], Want: shadowsync.Credential{Hash: "x"}}})
	if err != nil || !errors.Is(left[names[0]], shadowsync.ErrMalformed) || !c.Usable() {
		t.Errorf("left alone %v, %v", left, err)
	}
}

func TestWatchThroughTheWorker(t *testing.T) {
	path, _ := crowd(t, t.TempDir(), 1)
	c := spawn(t, path)
	ctx, cancel := context.WithCancel(t.Context())
	changed, err := c.Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, ch := range []<-chan struct{}{changed, again} {
		select {
		case <-ch:
		case <-time.After(time.Minute):
			t.Fatal("the change was not noticed")
		}
	}
	cancel()
	drain(t, changed)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	drain(t, again)
}

func drain(t *testing.T, ch <-chan struct{}) {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		select {
		case _, open := <-ch:
			if !open {
				return
			}
		case <-deadline:
			t.Fatal("the channel does not close")
		}
	}
}

func TestHungWorker(t *testing.T) {
	path, names := crowd(t, t.TempDir(), 1)
	c := spawn(t, path)
	pid := workerOf(t, c)
	stop(t, pid)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := c.Read(ctx, names)
	if !errors.Is(err, shadowsync.ErrUnavailable) || err.Error() != "no answer in time" || time.Since(start) > 10*time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
	if _, err := c.Revision(t.Context()); !errors.Is(err, shadowsync.ErrUnavailable) || c.Usable() {
		t.Errorf("after that: %v", err)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the worker was not reaped: %v", err)
	}
}

// stop returns when every thread has stopped: one of them takes the signal, and the others run on
// until it has.
func stop(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually.Holds(t, "every thread of the worker is stopped", func() bool {
		states, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		return !slices.ContainsFunc(states, func(file string) bool {
			text, _ := os.ReadFile(file)
			return !strings.Contains(string(text), ") T ")
		})
	})
}

func TestKilledWorker(t *testing.T) {
	path, names := crowd(t, t.TempDir(), 1)
	c := spawn(t, path)
	if err := syscall.Kill(workerOf(t, c), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(t.Context(), names); !errors.Is(err, shadowsync.ErrUnavailable) {
		t.Errorf("%v", err)
	}
}

// A worker that gets the connection of an earlier one answers nothing: the client sees that its worker has ended, and
// can open the store anew.
func TestSuccessorOnTheSameConnection(t *testing.T) {
	p, err := worker.Child(Command.Name)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	if err := p.Conn.Send(t.Context(), request{Op: opRevision}); err != nil {
		t.Fatal(err)
	}
	var a answer
	if _, err := p.Conn.Receive(t.Context(), &a); !errors.Is(err, io.EOF) {
		t.Errorf("it answers %+v, %v", a, err)
	}
}

// The same worker, if its client waits for an answer of the one before: then no packet comes.
func TestSuccessorOfABusyWorker(t *testing.T) {
	conn, client, err := socket.Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	defer client.Close()
	ctx, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	if _, err := firstRequest(ctx, conn); !errors.Is(err, errSuccessor) {
		t.Errorf("after a time without a packet: %v", err)
	}
}

func TestOpenWhereTheDriverBelongs(t *testing.T) {
	path, _ := crowd(t, t.TempDir(), 1)
	s, err := Open(t.Context(), options(path))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, isClient := s.(*Client); !isClient {
		t.Errorf("json is a %T here", s)
	}
	embedded, err := Open(t.Context(), store.Options{Driver: "sqlite", Root: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if _, isClient := embedded.(*Client); isClient {
		t.Error("sqlite is in a worker")
	}
	if s, err := Open(t.Context(), options("/nowhere/x.json")); err == nil || s != nil {
		t.Errorf("missing folder: %v, %v", s, err)
	}
}

// outOfReach makes a store of a user in a folder that this user cannot enter.
func outOfReach(t *testing.T) (root string, names []string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	closed := filepath.Join(t.TempDir(), "closed")
	root = filepath.Join(closed, "mnt")
	folder := filepath.Join(root, "app")
	if err := errors.Join(os.MkdirAll(folder, 0o755), os.Chmod(closed, 0o700)); err != nil {
		t.Fatal(err)
	}
	path, names := crowd(t, folder, 3)
	if err := errors.Join(os.Chown(folder, 4711, 4711), os.Chown(path, 4711, 4711)); err != nil {
		t.Fatal(err)
	}
	return root, names
}

// TestRootOutOfReach: a system is mounted for rescue where the store's owner has no access.
func TestRootOutOfReach(t *testing.T) {
	root, names := outOfReach(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	o := options("/app/user.json")
	o.Root = root
	c, err := Spawn(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	before, err := c.Read(ctx, names)
	if err != nil || len(before.Accounts) != len(names) {
		t.Fatalf("read %d accounts: %v", len(before.Accounts), err)
	}
	w := shadowsync.Write{Name: names[1], Expect: before.Accounts[names[1]].Credential, Want: shadowsync.Credential{Hash: "$6$new$"}}
	if left, err := c.Write(ctx, []shadowsync.Write{w}); err != nil || len(left) > 0 {
		t.Fatalf("left %v: %v", left, err)
	}
	if text, err := os.ReadFile(filepath.Join(root, "app/user.json")); err != nil || !bytes.Contains(text, []byte("$6$new$")) {
		t.Errorf("the file was not written: %v", err)
	}
}

// TestWorkerThatCannotStart: its end is noticed at once, not only after the time-out.
func TestWorkerThatCannotStart(t *testing.T) {
	root, _ := outOfReach(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, err := Spawn(ctx, options(filepath.Join(root, "app/user.json")))
	if err == nil {
		_ = c.Close()
		t.Fatal("the worker opened what its uid cannot reach")
	}
	if ctx.Err() != nil || !errors.Is(err, shadowsync.ErrUnavailable) {
		t.Errorf("Spawn says %v, %v", err, ctx.Err())
	}
}
