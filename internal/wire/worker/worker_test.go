package worker

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/wire/socket"
)

type question struct {
	Text string `json:"text"`
}

// seen is what a worker says about itself.
type seen struct {
	Text    string   `json:"text"`
	Answers int      `json:"answers"`
	Env     []string `json:"env"`
	Group   bool     `json:"group"`    // it leads a process group
	NoPrivs bool     `json:"no_privs"` // it cannot gain rights by an exec
	Foreign bool     `json:"foreign"`  // a descriptor is open that nobody handed over
	First   string   `json:"first"`    // content of the first file
	Tokens  int      `json:"tokens"`
}

var one, many = job("test-one", false), job("test-many", true)

// foreign is a descriptor number that no process opens by chance.
const foreign = 77

func job(name string, many bool) Job[question, seen] {
	answers, prepared := 0, false
	return Job[question, seen]{
		Name: name, Tokens: 1, Many: many,
		Prepare: func() error { prepared = true; return nil },
		Answer: func(_ context.Context, q question, tokens []*os.File) (seen, error) {
			if q.Text == "fail" || !prepared {
				return seen{}, errors.New("it is not possible")
			}
			answers++
			first, _ := os.ReadFile(FirstFile)
			privs, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
			_, closed := unix.FcntlInt(foreign, unix.F_GETFD, 0)
			return seen{
				strings.ToUpper(q.Text), answers, os.Environ(), unix.Getpgrp() == os.Getpid(), privs == 1,
				closed == nil, string(first), len(tokens),
			}, err
		},
	}
}

// TestMain lets the test binary be the workers that the tests start.
func TestMain(m *testing.M) {
	var err error
	switch os.Args[len(os.Args)-1] {
	default:
		os.Exit(m.Run())
	case "test-one":
		err = one.Command().Main(context.Background(), os.Stdin)
	case "test-many":
		err = many.Command().Main(context.Background(), os.Stdin)
	case "test-hanging":
		ended, _ := signal.NotifyContext(context.Background(), unix.SIGTERM)
		<-ended.Done()
	case "test-dying":
		err = errors.New("gone")
	}
	if err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

func child(t *testing.T, name string, files ...*os.File) *Process {
	t.Helper()
	p, err := Child(name, files...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Kill() })
	return p
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// A child has its connection and what was handed over, and nothing else of its parent's.
func TestChild(t *testing.T) {
	t.Setenv("SECRET", "of the parent")
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteString("handed over"); err != nil {
		t.Fatal(err)
	}
	// A descriptor without close-on-exec, as one that this process was started with.
	if err := unix.Dup3(int(file.Fd()), foreign, 0); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(foreign)
	token, err := socket.SealedMemfd([]byte("token"))
	if err != nil {
		t.Fatal(err)
	}
	defer token.Close()
	got, err := one.Ask(within(t, 10*time.Second), child(t, "test-one", file), question{"what"}, token)
	if err != nil || got.Text != "WHAT" || got.First != "handed over" || got.Tokens != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
	if len(got.Env) > 0 || !got.Group || !got.NoPrivs || got.Foreign {
		t.Errorf("the child is not alone: %+v", got)
	}
}

func TestHowManyQuestions(t *testing.T) {
	ctx, p := within(t, 10*time.Second), child(t, "test-many")
	for i := range 3 {
		if got, err := many.Ask(ctx, p, question{"again"}); err != nil || got.Answers != i+1 {
			t.Errorf("question %d: %+v, %v", i, got, err)
		}
		if _, err := many.Ask(ctx, p, question{"fail"}); err == nil || err.Error() != "it is not possible" {
			t.Errorf("a failure is reported as %v", err)
		}
	}
	p = child(t, "test-one")
	if _, err := one.Ask(ctx, p, question{"once"}); err != nil {
		t.Fatal(err)
	}
	if got, err := one.Ask(ctx, p, question{"again"}); err == nil {
		t.Errorf("a second question was answered: %+v", got)
	}
}

func TestNoAnswer(t *testing.T) {
	for name, text := range map[string]string{
		"test-dying": "", "test-hanging": "", "test-one": strings.Repeat("x", socket.MaxPacket),
	} {
		p := child(t, name)
		if got, err := one.Ask(within(t, time.Second), p, question{text}); err == nil || !strings.Contains(err.Error(), "did not answer") {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}

// Kill ends and reaps a worker that hangs, and one that has ended.
func TestKill(t *testing.T) {
	for _, name := range []string{"test-hanging", "test-dying"} {
		p := child(t, name)
		if err := p.End(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if children, err := os.ReadFile("/proc/self/task/" + strconv.Itoa(os.Getpid()) + "/children"); err != nil || strings.TrimSpace(string(children)) != "" {
			t.Errorf("%s: children %q, %v", name, children, err)
		}
	}
}

// Where a sandbox denies the call that marks all descriptors, each is marked by itself.
func TestNoCloseRange(t *testing.T) {
	file, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := unix.Dup3(int(file.Fd()), foreign, 0); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(foreign)
	marked := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the filter ends with this thread
		err := denyCloseRange()
		if err == nil && !errors.Is(unix.CloseRange(foreign, foreign, unix.CLOSE_RANGE_CLOEXEC), unix.EPERM) {
			err = errors.New("the call is not denied")
		}
		if err == nil {
			err = closeAllOnExec()
		}
		marked <- err
	}()
	if err := <-marked; err != nil {
		t.Fatal(err)
	}
	if flags, err := unix.FcntlInt(foreign, unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("flags %#x, %v", flags, err)
	}
}

// denyCloseRange makes close_range(2) fail with EPERM in this thread.
func denyCloseRange() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}, // the number of the call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: unix.SYS_CLOSE_RANGE},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	return unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0)
}

func TestConnectReportsItsStart(t *testing.T) {
	fault := errors.New("no such unit")
	if conn, err := Connect(func(*os.File) error { return fault }); conn != nil || !errors.Is(err, fault) {
		t.Errorf("got %v, %v", conn, err)
	}
}
