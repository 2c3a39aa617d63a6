package socket

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/test/eventually"
)

// serve runs s at a new path until the test ends, and checks that it stops.
func serve(t *testing.T, s *Server) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "s")
	serveOn(t, s, listen(t, path))
	return path
}

func serveOn(t *testing.T, s *Server, l *Listener) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}

func dial(t *testing.T, path string) *Conn {
	t.Helper()
	c, err := Dial(background(t), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// ask sends one message and returns the answer.
func ask(t *testing.T, path, op string) (message, error) {
	t.Helper()
	c := dial(t, path)
	defer c.Close()
	if err := c.Send(background(t), message{Op: op}); err != nil {
		return message{}, err
	}
	var got message
	_, err := c.Receive(background(t), &got)
	return got, err
}

// echo answers every message, and panics if asked to.
func echo(ctx context.Context, r *Request) {
	var m message
	files, err := r.Conn.Receive(ctx, &m)
	CloseAll(files)
	if err != nil {
		return
	}
	if m.Op == "panic" {
		panic("a bug\x1b[2J")
	}
	_ = r.Conn.Send(ctx, m)
}

// refused reports whether a connection was closed without an answer: EOF, or ECONNRESET and EPIPE
// if the client had already sent something.
func refused(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE)
}

// record collects log lines.
type record struct {
	mu   sync.Mutex
	text strings.Builder
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

func TestServerAnswers(t *testing.T) {
	keepsDescriptors(t)
	path := serve(t, &Server{Handler: echo})
	for range 100 {
		if got, err := ask(t, path, "x"); err != nil || got.Op != "x" {
			t.Fatalf("%+v, %v", got, err)
		}
	}
}

func TestServerSurvivesPanics(t *testing.T) {
	keepsDescriptors(t)
	var log record
	path := serve(t, &Server{Handler: echo, PerPlace: 1, Log: slog.New(slog.NewTextHandler(&log, nil))})
	for range 3 {
		if _, err := ask(t, path, "panic"); !refused(err) {
			t.Errorf("the one who caused it got %v", err)
		}
		eventually.Holds(t, "the next is served", func() bool { got, err := ask(t, path, "x"); return err == nil && got.Op == "x" })
	}
	if text := log.String(); !strings.Contains(text, "socket.echo") || strings.ContainsRune(text, 0x1b) {
		t.Errorf("the log has no stack, or control characters: %q", text)
	}
}

func TestServerLimitsOneUID(t *testing.T) {
	keepsDescriptors(t)
	s := &Server{Handler: echo, PerPlace: 3, Total: 10}
	path := serve(t, s)
	var idle []*Conn
	for range 3 {
		idle = append(idle, dial(t, path))
	}
	eventually.Holds(t, "three are counted", func() bool { return count(s) == 3 })
	for range 200 {
		if _, err := ask(t, path, "x"); !refused(err) {
			t.Fatalf("beyond the limit: %v", err)
		}
	}
	// Another uid is not affected.
	if !s.enter(4711) {
		t.Error("another uid was refused")
	}
	s.leave(4711)
	for _, c := range idle {
		c.Close()
	}
	eventually.Holds(t, "it is served again", func() bool { _, err := ask(t, path, "x"); return err == nil })
	eventually.Holds(t, "nothing is counted", func() bool { return count(s) == 0 })
}

func count(s *Server) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

func TestServerLimitsTotal(t *testing.T) {
	s := &Server{PerPlace: 2, Total: 5}
	admitted := 0
	for uid := range 10 {
		for range 3 {
			if s.enter(uid) {
				admitted++
			}
		}
	}
	if admitted != 5 || s.places[0] != 2 || s.places[2] != 1 {
		t.Errorf("admitted %d: %v", admitted, s.places)
	}
}

// Root's reserved places stay free, however many the others take.
func TestServerKeepsPlaces(t *testing.T) {
	s := &Server{PerPlace: 4, Total: 6, Kept: 2}
	others := 0
	for place := 1; place < 9; place++ {
		if s.enter(place) {
			others++
		}
	}
	if others != 4 || !s.enter(0) || !s.enter(0) || s.enter(0) {
		t.Errorf("others have %d, all %d", others, s.total)
	}
	s.leave(1)
	if !s.enter(0) || s.enter(2) {
		t.Error("root does not get what is free, or another gets what is root's")
	}
}

// Uids that share a place share its limit.
func TestServerPlaces(t *testing.T) {
	s := &Server{Handler: echo, PerPlace: 1, Place: func(Peer) int { return -1 }}
	path := serve(t, s)
	idle := dial(t, path)
	eventually.Holds(t, "one is counted", func() bool { return count(s) == 1 })
	if _, err := ask(t, path, "x"); !refused(err) {
		t.Errorf("beyond the place's limit: %v", err)
	}
	idle.Close()
	eventually.Holds(t, "it is served again", func() bool { _, err := ask(t, path, "x"); return err == nil })
}

func TestServerDeadline(t *testing.T) {
	keepsDescriptors(t)
	for name, ignores := range map[string]bool{"silent peer": false, "handler that ignores its context": true} {
		t.Run(name, func(t *testing.T) {
			goOn := make(chan struct{})
			defer close(goOn)
			handler := echo
			if ignores {
				handler = func(context.Context, *Request) { <-goOn }
			}
			path := serve(t, &Server{Handler: handler, Timeout: 50 * time.Millisecond})
			start := time.Now()
			_, err := dial(t, path).Receive(background(t), &message{})
			if took := time.Since(start); !refused(err) || took < 50*time.Millisecond {
				t.Errorf("closed after %v with %v", took, err)
			}
		})
	}
}

func TestServerFinishesWhatItBegan(t *testing.T) {
	keepsDescriptors(t)
	path := filepath.Join(t.TempDir(), "s")
	l := listen(t, path)
	begun, goOn := make(chan struct{}), make(chan struct{})
	s := &Server{Handler: func(ctx context.Context, r *Request) {
		close(begun)
		<-goOn
		echo(ctx, r)
	}}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	c := dial(t, path)
	if err := c.Send(background(t), message{Op: "x"}); err != nil {
		t.Fatal(err)
	}
	<-begun
	stop()
	close(goOn)
	var got message
	if _, err := c.Receive(background(t), &got); err != nil || got.Op != "x" {
		t.Errorf("%+v, %v", got, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestServerFloodOfAnother has another uid hold idle connections and flood the
// socket with garbage, while requests of this one are answered.
func TestServerFloodOfAnother(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to be somebody else")
	}
	keepsDescriptors(t)
	s := &Server{Handler: echo, PerPlace: 4, Total: 10, Timeout: 10 * time.Second}
	path := serve(t, s)
	// The folder above t.TempDir's is 0700.
	if err := errors.Join(os.Chmod(path, 0o666), os.Chmod(filepath.Dir(filepath.Dir(path)), 0o755)); err != nil {
		t.Fatal(err)
	}
	const nobody = 65534
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "SOCKET_TEST_FLOOD="+path)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: nobody, Gid: nobody}, Pdeathsig: syscall.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		t.Skip("cannot be somebody else:", err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	eventually.Holds(t, "the flood", func() bool { return held(s, nobody) == 4 })

	var slowest time.Duration
	for range 300 {
		start := time.Now()
		if got, err := ask(t, path, "x"); err != nil || got.Op != "x" {
			t.Fatalf("%+v, %v", got, err)
		}
		slowest = max(slowest, time.Since(start))
	}
	t.Logf("slowest of 300 answers under the flood: %v", slowest)
	if slowest > s.Timeout/2 {
		t.Errorf("one answer took %v", slowest)
	}
}

func held(s *Server, uid int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.places[uid]
}

// flood is what the other uid does until it is killed.
func flood(path string) {
	ctx := context.Background()
	var idle []*Conn
	for {
		c, err := Dial(ctx, path)
		if err != nil {
			continue
		}
		if len(idle) < 100 {
			idle = append(idle, c)
			continue
		}
		_ = c.send(ctx, []byte("garbage\x00"), []int{0, 0, 0})
		_ = c.Close()
	}
}

func TestServerSurvivesEMFILE(t *testing.T) {
	keepsDescriptors(t)
	var log record
	path := serve(t, &Server{Handler: echo, Log: slog.New(slog.NewTextHandler(&log, nil))})
	client := dial(t, path) // before the test takes all descriptors, because it needs one
	if err := client.Send(background(t), message{Op: "x"}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Receive(background(t), &message{}); err != nil {
		t.Fatal(err)
	}

	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
	eventually.Holds(t, "the back-off", func() bool { return strings.Contains(log.String(), "too many open files") })
	if err := errors.Join(err, unix.Setrlimit(unix.RLIMIT_NOFILE, &old)); err != nil {
		t.Fatal(err)
	}
	if got, err := ask(t, path, "y"); err != nil || got.Op != "y" {
		t.Errorf("afterwards: %+v, %v", got, err)
	}
}
