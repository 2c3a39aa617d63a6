package moduletest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const allSeals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE

// inBothBuilds plays a scene as released and under the sanitizers, each in a directory of its own.
func inBothBuilds(t *testing.T, play func(t *testing.T, b build, dir string)) {
	for _, b := range []build{release, sanitized} {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			play(t, b, newDir(t))
		})
	}
}

func TestTokenArrivesSealed(t *testing.T) {
	tokens := map[string]struct {
		token, want string
		attached    bool
	}{
		"plain":         {"correct horse", "correct horse", true},
		"UTF-8":         {"pässwörd ✔", "pässwörd ✔", true},
		"quotes":        {`a"b\c`, `a"b\c`, true},
		"longest":       {strings.Repeat("x", 512), strings.Repeat("x", 512), true},
		"one too long":  {strings.Repeat("x", 513), "", false},
		"none at all":   {"", "", false},
		"not even text": {"\xff\xfe\x01\n", "\xff\xfe\x01\n", true},
	}
	for name, c := range tokens {
		t.Run(name, func(t *testing.T) {
			inBothBuilds(t, func(t *testing.T, b build, dir string) {
				got := make(chan request, 1)
				serve(t, listen(t, dir, 5, 0), func(conn int) {
					r, err := receive(conn)
					if err != nil {
						t.Error(err)
					}
					got <- r
					unix.Sendto(conn, []byte(answerOf(persisted)), unix.MSG_NOSIGNAL, nil)
				})
				wantSaid(t, run(t, b, dir, scene{token: c.token}), persisted)
				r := <-got
				if r.text != `{"op":"pam-changed","plain":true,"user":"admin"}` || r.hasToken != c.attached || r.token != c.want {
					t.Errorf("got %+v", r)
				}
				if c.attached && r.seals&allSeals != allSeals {
					t.Errorf("seals %#x, want at least %#x", r.seals, allSeals)
				}
			})
		})
	}
}

func TestAnswerIsShown(t *testing.T) {
	long := "shadowsync: " + strings.Repeat("é", 300)
	answers := map[string]struct {
		packet string
		want   []string
	}{
		"persisted":            {answerOf(persisted), []string{persisted}},
		"nobody manages":       {answerOf(""), nil},
		"lines":                {answerOf("shadowsync: a\nshadowsync: b"), []string{"shadowsync: a", "shadowsync: b"}},
		"more lines than most": {answerOf("shadowsync: a" + strings.Repeat("\nb", 9)), append([]string{"shadowsync: a"}, slices.Repeat([]string{"b"}, 7)...)},
		"tab and the like":     {answerOf("shadowsync: b\tc\rd\be\ff"), []string{"shadowsync: b?c?d?e?f"}},
		"terminal controls":    {answerOf("shadowsync: \x1b[2J \u009b1m \x7f \x00"), []string{"shadowsync: ?[2J ?1m ? ?"}},
		"raw C1 and direction": {answerOf("shadowsync: \u0085 \u202e \u200b \ufeff"), []string{"shadowsync: ? ? ? ?"}},
		"not UTF-8":            {answerOf("shadowsync: \xff\xc0\xaf"), []string{"shadowsync: ???"}},
		"overlong UTF-8":       {answerOf("shadowsync: \xe0\x80\xaf"), []string{"shadowsync: ???"}},
		"cut UTF-8":            {answerOf("shadowsync: \xe2\x9c"), []string{"shadowsync: ??"}},
		"512 bytes":            {answerOf(long), []string{long[:512]}},
		"a refusal":            {answerOf(tooShort), []string{tooShort}}, // the change is made already, so the text is only shown

		"beyond 8 KiB":     {answerOf(persisted) + strings.Repeat(" ", 9000), []string{queued}},
		"another kind":     {"x" + persisted, []string{queued}},
		"no kind":          {persisted[1:], []string{queued}},
		"an empty refusal": {"r", []string{queued}},
		"an older form":    {`{"message":"` + persisted + `"}`, []string{queued}},
		"an error":         {`{"error":"not permitted"}`, []string{queued}},
		"NUL":              {"\x00", []string{queued}},
	}
	for name, c := range answers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := newDir(t)
			serve(t, listen(t, dir, 5, 0), answering(c.packet))
			wantSaid(t, run(t, sanitized, dir, scene{token: "secret"}), c.want...)
			if timeoutMarked(t, dir) {
				t.Error("an answer was taken for a time-out")
			}
		})
	}
}

func TestPeerMisbehaves(t *testing.T) {
	peers := map[string]struct {
		peer  func(conn int)
		marks bool
	}{
		"closes at once":       {func(int) {}, false},
		"closes after reading": {func(conn int) { receive(conn) }, false},
		"sends 64 KiB": {func(conn int) {
			answering(answerOf("shadowsync: " + strings.Repeat("x", 64<<10)))(conn)
		}, false},
		"sends megabytes": {func(conn int) {
			for range 64 {
				if unix.Sendto(conn, make([]byte, 64<<10), unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT, nil) != nil {
					return
				}
			}
		}, false},
		"sends an empty packet": {func(conn int) { answering("")(conn) }, false},
		"reads and hangs":       {func(conn int) { receive(conn); untilClosed(conn) }, true},
		"never reads":           {untilClosed, true},
	}
	for name, c := range peers {
		t.Run(name, func(t *testing.T) {
			inBothBuilds(t, func(t *testing.T, b build, dir string) {
				serve(t, listen(t, dir, 5, 0), c.peer)
				wantSaid(t, run(t, b, dir, scene{token: "secret"}), queued)
				if timeoutMarked(t, dir) != c.marks {
					t.Errorf("time-out marked: %v, want %v", !c.marks, c.marks)
				}
			})
		})
	}
}

// untilClosed answers nothing and returns when the other side has closed, or after ten seconds.
func untilClosed(conn int) {
	events := []unix.PollFd{{Fd: int32(conn), Events: unix.POLLRDHUP}}
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline) && events[0].Revents == 0; {
		unix.Poll(events, int(time.Until(deadline).Milliseconds()))
	}
}

// If the peer has closed before the request is sent, that counts as no answer; the host gets no SIGPIPE.
func TestPeerClosesBeforeRequest(t *testing.T) {
	inBothBuilds(t, func(t *testing.T, b build, dir string) {
		serve(t, listen(t, dir, 5, 0), func(int) {})
		wantSaid(t, run(t, b, dir, scene{token: "secret", options: []string{"slow"}}), queued)
	})
}

func TestPeerSendsDescriptors(t *testing.T) {
	inBothBuilds(t, func(t *testing.T, b build, dir string) {
		serve(t, listen(t, dir, 5, 0), func(conn int) {
			if _, err := receive(conn); err != nil {
				t.Error(err)
			}
			rights := unix.UnixRights(conn, conn, conn)
			if err := unix.Sendmsg(conn, []byte(answerOf(persisted)), rights, nil, unix.MSG_NOSIGNAL); err != nil {
				t.Error(err)
			}
		})
		wantSaid(t, run(t, b, dir, scene{token: "secret"}), persisted)
	})
}

func TestPeerIsNotRoot(t *testing.T) {
	inBothBuilds(t, func(t *testing.T, b build, dir string) {
		serve(t, listen(t, dir, 5, 65534), func(conn int) {
			if r, err := receive(conn); err == nil && (r.text != "" || r.hasToken) {
				t.Errorf("a peer that is not root got %+v", r)
			}
		})
		wantSaid(t, run(t, b, dir, scene{token: "secret"}), queued)
	})
}

func TestBacklogIsFull(t *testing.T) {
	inBothBuilds(t, func(t *testing.T, b build, dir string) {
		listen(t, dir, 0, 0)
		fill(t, dir)
		r := run(t, b, dir, scene{token: "secret"})
		wantSaid(t, r, queued)
		if r.slowest < 1900*time.Millisecond || !timeoutMarked(t, dir) {
			t.Errorf("gave up after %v, marked %v", r.slowest, timeoutMarked(t, dir))
		}
	})
}

func fill(t *testing.T, dir string) {
	t.Helper()
	fillAt(t, dir, "root.sock")
}

func fillAt(t *testing.T, dir, name string) {
	t.Helper()
	path := shortPath(t, dir) + "/" + name
	for range 16 {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		if unix.Connect(fd, &unix.SockaddrUnix{Name: path}) == unix.EAGAIN {
			return
		}
	}
	t.Fatal("the backlog does not fill")
}

func TestNobodyListens(t *testing.T) {
	cases := map[string]func(t *testing.T, dir string){
		"no socket":      func(*testing.T, string) {},
		"refused":        func(t *testing.T, dir string) { bind(t, dir) },
		"not a socket":   func(t *testing.T, dir string) { write(t, dir, "root.sock") },
		"socket is FIFO": func(t *testing.T, dir string) { fifo(t, dir, "root.sock") },
	}
	for name, prepare := range cases {
		t.Run(name, func(t *testing.T) {
			inBothBuilds(t, func(t *testing.T, b build, dir string) {
				prepare(t, dir)
				r := run(t, b, dir, scene{token: "secret"})
				wantSaid(t, r, queued)
				if r.slowest > 1500*time.Millisecond || timeoutMarked(t, dir) {
					t.Errorf("took %v, marked %v", r.slowest, timeoutMarked(t, dir))
				}
			})
		})
	}
}

func write(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "run", name), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func fifo(t *testing.T, dir, name string) {
	t.Helper()
	path := filepath.Join(dir, "run", name)
	os.Remove(path)
	if err := unix.Mkfifo(path, 0o644); err != nil {
		t.Fatal(err)
	}
}
