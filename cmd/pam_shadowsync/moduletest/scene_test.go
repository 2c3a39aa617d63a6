package moduletest

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	managedList = "other\tother.service\nadmin\t128T.service\n"
	persisted   = "shadowsync: admin: persisted in conductor's credential store"
	queued      = "shadowsync: admin: queued (shadowsync did not answer in time); it is persisted before the next start of 128T.service"
)

// A scene is one run of the host program. Zero values are the plain case: root changes admin's password.
type scene struct {
	stack      string // "" is "host"
	answer     string // to prompts
	fails      int    // the result that the stack must return
	user       string
	token      string
	misfortune string
	stores     string // shadow(5) after the password is stored; empty: unchanged
	options    []string
	calls      int
	wrong      int // the first call in which the password is wrong; 0: none
}

// A report is what the host program saw.
type report struct {
	said          []string
	result        int
	slowest, all  time.Duration
	before, after int
}

// newDir makes a working directory with a run directory and the list of managed accounts in it.
func newDir(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: the module trusts files and peers of root only")
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "run"), 0o755); err != nil {
		t.Fatal(err)
	}
	writeManaged(t, dir, managedList)
	for _, folder := range []string{"home", notesDir} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "program"), []byte("#!"), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func writeManaged(t *testing.T, dir, list string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "run", "managed"), []byte(list), 0o644); err != nil {
		t.Fatal(err)
	}
}

// run plays s in dir and checks what must hold in every scene: the host survives; no sanitizer reports anything; the
// stack succeeds, which it does only if the module returns PAM_IGNORE, unless the scene wants a refusal; no descriptor is
// left open; and no call takes longer than its deadline.
func run(t *testing.T, b build, dir string, s scene) report {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	stack, user, calls := cmp.Or(s.stack, "host"), cmp.Or(s.user, "admin"), max(s.calls, 1)
	cmd := exec.CommandContext(ctx, b.host, append([]string{b.confDir, stack, user, fmt.Sprint(calls)}, s.options...)...)
	cmd.Dir = dir
	cmd.Env = []string{"ASAN_OPTIONS=detect_leaks=1:exitcode=99:log_path=sanitizer", "UBSAN_OPTIONS=log_path=sanitizer", "MISFORTUNE=" + s.misfortune}
	if s.token != "" {
		cmd.Env = append(cmd.Env, "TOKEN="+s.token)
	}
	if s.stores != "" {
		cmd.Env = append(cmd.Env, "STORES="+s.stores)
	}
	if s.wrong != 0 {
		cmd.Env = append(cmd.Env, fmt.Sprint("WRONG=", s.wrong))
	}
	if s.answer != "" {
		cmd.Env = append(cmd.Env, "ANSWER="+s.answer)
	}
	r, err := runReporting(cmd)
	if found, _ := filepath.Glob(filepath.Join(dir, "sanitizer*")); err != nil || len(found) > 0 {
		t.Fatalf("host program: %v\n%s", err, readAll(found))
	}
	if r.result != s.fails || r.before != r.after {
		t.Errorf("result %d, want %d; %d descriptors before, %d after", r.result, s.fails, r.before, r.after)
	}
	if r.slowest > 3*time.Second {
		t.Errorf("one call took %v, want at most 2 s", r.slowest)
	}
	return r
}

func runReporting(cmd *exec.Cmd) (report, error) {
	reading, writing, err := os.Pipe()
	if err != nil {
		return report{}, err
	}
	defer reading.Close()
	cmd.ExtraFiles = []*os.File{writing}
	err = cmd.Start()
	writing.Close()
	if err != nil {
		return report{}, err
	}
	r, parsed := parseReport(reading)
	return r, errors.Join(cmd.Wait(), parsed)
}

func parseReport(in io.Reader) (report, error) {
	var r report
	for lines := bufio.NewScanner(in); lines.Scan(); {
		var number int
		word, rest, _ := strings.Cut(lines.Text(), " ")
		switch word {
		case "conv":
			r.said = append(r.said, strings.TrimPrefix(rest, "4 ")) // PAM_TEXT_INFO; any other style stays visible
		case "descriptors":
			if _, err := fmt.Sscan(rest, &r.before, &r.after); err != nil {
				return r, err
			}
			return r, nil
		default:
			if _, err := fmt.Sscan(rest, &number); err != nil {
				return r, fmt.Errorf("cannot read report line %q: %w", lines.Text(), err)
			}
			switch word {
			case "result":
				r.result = number
			case "ms":
				r.slowest = time.Duration(number) * time.Millisecond
			case "total":
				r.all = time.Duration(number) * time.Millisecond
			}
		}
	}
	return r, errors.New("the report ends early")
}

func readAll(files []string) string {
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		fmt.Fprintf(&all, "%s: %v\n%s\n", file, err, text)
	}
	return all.String()
}

func wantSaid(t *testing.T, r report, want ...string) {
	t.Helper()
	if strings.Join(r.said, "\n") != strings.Join(want, "\n") || len(r.said) != len(want) {
		t.Errorf("said %q, want %q", r.said, want)
	}
}

func timeoutMarked(t *testing.T, dir string) bool {
	t.Helper()
	info, err := os.Lstat(filepath.Join(dir, "run", "pam-timeout"))
	if err == nil && info.Mode() != 0o600 {
		t.Errorf("mark of the time-out has mode %v, want 0600", info.Mode())
	}
	return err == nil
}

// bind creates root's socket; nobody listens on it yet.
func bind(t *testing.T, dir string) int {
	t.Helper()
	return bindAt(t, dir, "root.sock")
}

func bindAt(t *testing.T, dir, name string) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: shortPath(t, dir) + "/" + name}); err != nil {
		t.Fatal(err)
	}
	return fd
}

// listen opens the broker's socket for root in dir.
func listen(t *testing.T, dir string, backlog, uid int) int {
	t.Helper()
	return listenAt(t, dir, "root.sock", backlog, uid)
}

// listenAt opens a socket of the broker's in dir. The kernel records the credentials of the listening peer at listen(2),
// so uid need not be root's.
func listenAt(t *testing.T, dir, name string, backlog, uid int) int {
	t.Helper()
	fd := bindAt(t, dir, name)
	runtime.LockOSThread() // raw setresuid(2) changes only this thread
	defer runtime.UnlockOSThread()
	set := func(uid int) {
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0)); errno != 0 {
			t.Fatal(errno)
		}
	}
	set(uid)
	err := unix.Listen(fd, backlog)
	set(0)
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

// shortPath returns a path of dir's run directory through a descriptor: sockaddr_un has 108 bytes, and t.TempDir may be
// longer.
func shortPath(t *testing.T, dir string) string {
	t.Helper()
	fd, err := unix.Open(filepath.Join(dir, "run"), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fmt.Sprintf("/proc/self/fd/%d", fd)
}

// serve accepts connections on fd until the test ends and runs peer on each; the connection closes when peer returns.
func serve(t *testing.T, fd int, peer func(conn int)) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
			if err != nil {
				return
			}
			peer(conn)
			unix.Close(conn)
		}
	}()
	t.Cleanup(func() {
		unix.Shutdown(fd, unix.SHUT_RDWR) // wakes accept
		<-done
	})
}

// A request is what the module sent, with the text of its token.
type request struct {
	text, token string
	hasToken    bool
	seals, mode int
}

func receive(conn int) (request, error) {
	buffer, control := make([]byte, 4096), make([]byte, 256)
	n, controlled, _, _, err := unix.Recvmsg(conn, buffer, control, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return request{}, err
	}
	r := request{text: string(buffer[:n])}
	messages, err := unix.ParseSocketControlMessage(control[:controlled])
	if err != nil || len(messages) == 0 {
		return r, err
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(messages) != 1 || len(fds) != 1 {
		return r, fmt.Errorf("%d control messages, %d descriptors: %w", len(messages), len(fds), err)
	}
	return r, r.readToken(fds[0])
}

func (r *request) readToken(fd int) error {
	token := os.NewFile(uintptr(fd), "token")
	defer token.Close()
	seals, err := unix.FcntlInt(token.Fd(), unix.F_GET_SEALS, 0)
	if err != nil {
		return err
	}
	flags, err := unix.FcntlInt(token.Fd(), unix.F_GETFL, 0)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(io.NewSectionReader(token, 0, 4096))
	r.hasToken, r.token, r.seals, r.mode = true, string(text), seals, flags
	return err
}

// answering is a peer that receives the request and sends text.
func answering(text string) func(int) {
	return func(conn int) {
		if _, err := receive(conn); err == nil {
			unix.Sendto(conn, []byte(text), unix.MSG_NOSIGNAL, nil)
		}
	}
}

// answerOf is the broker's answer with this text.
func answerOf(text string) string {
	if strings.HasPrefix(text, "BAD PASSWORD: ") {
		return "r" + text
	}
	return "s" + text
}

// noteOf is the broker's answer that asks for a note.
func noteOf(text string) string { return "n" + text }
