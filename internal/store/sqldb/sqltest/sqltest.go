// Package sqltest runs database servers of a test's own, if the machine has their programs: they listen on
// loopback and end with the test.
package sqltest

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Secret is the password of the user "shadowsync" in every server.
const Secret = "s p'a\"ce" //nolint:gosec // of a server that ends with its test

// Server is a running server with an empty database "app".
type Server struct {
	DSN   string // of the user "shadowsync", who has no right to anything yet
	Local string // the same over a Unix socket, without a password
	Admin *sql.DB
	// start starts the program, and stop ends it.
	start   func() (*exec.Cmd, error)
	stopped syscall.Signal
	program *exec.Cmd
	folder  string
}

var (
	running []*Server
	mu      sync.Mutex
)

// Run runs a package's tests and ends the servers that they started.
func Run(m *testing.M) int {
	code := m.Run()
	mu.Lock()
	defer mu.Unlock()
	for _, s := range running {
		if s != nil {
			_ = s.Admin.Close()
			s.Stop()
			_ = os.RemoveAll(s.folder)
		}
	}
	return code
}

// once starts a server at the first call, and skips the test if it cannot be.
func once(t testing.TB, start func() (*Server, error)) *Server {
	t.Helper()
	s, err := start()
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip("the machine has no such server: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func keep(s *Server, err error) (*Server, error) {
	mu.Lock()
	defer mu.Unlock()
	if s != nil {
		running = append(running, s)
	}
	return s, err
}

// find returns the path of a server's program, which need not be in PATH.
func find(name string, folders ...string) (string, error) {
	for _, pattern := range append(folders, filepath.SplitList(os.Getenv("PATH"))...) {
		found, _ := filepath.Glob(filepath.Join(pattern, name))
		for _, path := range found {
			if real, err := filepath.EvalSymlinks(path); err == nil {
				return real, nil
			}
		}
	}
	return "", fmt.Errorf("%s: %w", name, exec.ErrNotFound)
}

// owned makes a folder for a server, which refuses to run as root.
func owned(as string) (folder string, credential *syscall.Credential, err error) {
	folder, err = os.MkdirTemp("", "sqltest")
	if err != nil || os.Getuid() != 0 {
		return folder, nil, err
	}
	account, err := user.Lookup(as)
	if err != nil {
		account, err = user.Lookup("nobody")
	}
	if err != nil {
		return folder, nil, err
	}
	uid, _ := strconv.ParseUint(account.Uid, 10, 32)
	gid, _ := strconv.ParseUint(account.Gid, 10, 32)
	return folder, &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, os.Chown(folder, int(uid), int(gid))
}

func command(folder string, as *syscall.Credential, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = folder, []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + folder, "LC_ALL=C.UTF-8"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as, Setpgid: true}
	return cmd
}

// freePort returns a port that nobody listens on.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// Stop ends the program, so that it writes what it holds.
func (s *Server) Stop() {
	if s.program != nil {
		_ = s.program.Process.Signal(syscall.SIGCONT)
		_ = s.program.Process.Signal(s.stopped)
		_ = s.program.Wait()
		s.program = nil
	}
}

// Start starts the program and waits until it answers.
func (s *Server) Start() (err error) {
	if s.program, err = s.start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for pause := time.NewTicker(20 * time.Millisecond); ; <-pause.C {
		if err = s.Admin.PingContext(ctx); err == nil || ctx.Err() != nil {
			pause.Stop()
			return err
		}
	}
}

// Restart ends the program and starts it again.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.Stop()
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
}

// Hang stops the program, as a machine does that is out of memory, until the test ends.
func (s *Server) Hang(t testing.TB) {
	t.Helper()
	processes := []int{s.program.Process.Pid}
	if out, err := exec.Command("pgrep", "-P", strconv.Itoa(processes[0])).Output(); err == nil {
		for _, field := range strings.Fields(string(out)) {
			if pid, err := strconv.Atoi(field); err == nil {
				processes = append(processes, pid)
			}
		}
	}
	for _, pid := range processes {
		_ = syscall.Kill(pid, syscall.SIGSTOP)
	}
	t.Cleanup(func() {
		for _, pid := range processes {
			_ = syscall.Kill(pid, syscall.SIGCONT)
		}
	})
	pause := time.NewTicker(time.Millisecond)
	defer pause.Stop()
	for until := time.Now().Add(time.Minute); !haveStopped(processes); <-pause.C {
		if time.Now().After(until) {
			t.Fatal("the server does not stop")
		}
	}
}

// haveStopped reports whether all threads of the processes are stopped, or gone: the signal comes to each by itself.
func haveStopped(processes []int) bool {
	for _, pid := range processes {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		for _, name := range threads {
			text, err := os.ReadFile(name)
			if after := bytes.LastIndexByte(text, ')'); err == nil && !bytes.HasPrefix(text[after+1:], []byte(" T")) {
				return false
			}
		}
	}
	return true
}

// Exec executes SQL as the server's administrator.
func (s *Server) Exec(t testing.TB, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := s.Admin.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// Text returns the only value of a query.
func (s *Server) Text(t testing.TB, query string) (text string) {
	t.Helper()
	if err := s.Admin.QueryRow(query).Scan(&text); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return text
}
