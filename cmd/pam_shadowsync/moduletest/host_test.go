package moduletest

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A closed standard descriptor or a limit must neither kill the host nor leave an extra descriptor open in it.
func TestMisfortunes(t *testing.T) {
	cases := []struct {
		misfortune string
		builds     []build
		want       []string
		attached   bool
	}{
		{"std", []build{release, sanitized}, []string{persisted}, true},
		{"fsize", []build{release, sanitized}, []string{persisted}, false},
		{"std fsize", []build{release, sanitized}, []string{persisted}, false},
		{"nofile", []build{release, sanitized}, nil, false},
		{"std nofile", []build{release, sanitized}, nil, false},
		{"as", []build{release}, []string{persisted}, true}, // the sanitizer itself maps terabytes
		{"std as fsize", []build{release}, []string{persisted}, false},
	}
	for _, c := range cases {
		for _, b := range c.builds {
			t.Run(c.misfortune+"/"+b.name, func(t *testing.T) {
				t.Parallel()
				dir := newDir(t)
				var got request
				serve(t, listen(t, dir, 5, 0), func(conn int) {
					got, _ = receive(conn)
					if strings.Contains(c.misfortune, "std") {
						wantNoStd(t, conn)
					}
					unix.Sendto(conn, []byte(answerOf(persisted)), unix.MSG_NOSIGNAL, nil)
				})
				wantSaid(t, run(t, b, dir, scene{token: "secret", misfortune: c.misfortune}), c.want...)
				if c.want != nil && got.hasToken != c.attached {
					t.Errorf("token attached: %v, want %v", got.hasToken, c.attached)
				}
			})
		}
	}
}

// wantNoStd checks that the module has opened none of the standard descriptors that the host at the other end has closed.
func wantNoStd(t *testing.T, conn int) {
	peer, err := unix.GetsockoptUcred(conn, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		t.Error(err)
		return
	}
	for fd := range 3 {
		if target, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", peer.Pid, fd)); err == nil {
			t.Errorf("the host's descriptor %d is %s", fd, target)
		}
	}
}

func TestTimeoutUnderMisfortune(t *testing.T) {
	for _, misfortune := range []string{"std", "fsize"} {
		t.Run(misfortune, func(t *testing.T) {
			inBothBuilds(t, func(t *testing.T, b build, dir string) {
				serve(t, listen(t, dir, 5, 0), untilClosed)
				wantSaid(t, run(t, b, dir, scene{token: "secret", misfortune: misfortune}), queued)
				if !timeoutMarked(t, dir) {
					t.Error("time-out not marked")
				}
			})
		})
	}
}

func TestConversation(t *testing.T) {
	cases := map[string]struct {
		option string
		want   []string
	}{
		"missing":          {"noconv", nil},
		"failing":          {"failconv", []string{persisted}},
		"answers unasked":  {"respond", []string{persisted}},
		"PAM_SILENT":       {"silent", nil},
		"signals meantime": {"timer", []string{persisted}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			inBothBuilds(t, func(t *testing.T, b build, dir string) {
				serve(t, listen(t, dir, 5, 0), answering(answerOf(persisted)))
				wantSaid(t, run(t, b, dir, scene{token: "secret", options: []string{c.option}}), c.want...)
			})
		})
	}
}

// Signals every 3 ms must not extend the deadline, neither in poll(2) nor while the backlog is full.
func TestDeadlineUnderSignals(t *testing.T) {
	hang := func(t *testing.T, dir string) { serve(t, listen(t, dir, 5, 0), untilClosed) }
	full := func(t *testing.T, dir string) { listen(t, dir, 0, 0); fill(t, dir) }
	for name, prepare := range map[string]func(*testing.T, string){"hang": hang, "full backlog": full} {
		t.Run(name, func(t *testing.T) {
			inBothBuilds(t, func(t *testing.T, b build, dir string) {
				prepare(t, dir)
				r := run(t, b, dir, scene{token: "secret", options: []string{"timer"}})
				wantSaid(t, r, queued)
				if r.slowest < 1900*time.Millisecond {
					t.Errorf("gave up after %v, want 2 s", r.slowest)
				}
			})
		})
	}
}
