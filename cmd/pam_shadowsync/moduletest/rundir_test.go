package moduletest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestUnmanagedUsersDoNotConnect(t *testing.T) {
	users := []string{
		"nobody", "admi", "admin2", "128T.service", "admin\t128T.service", "other.service\nadmin",
		"a\x01b", "\x1b[2J", "\xff", "\u202e", strings.Repeat("x", 257),
	}
	for _, user := range users {
		t.Run(fmt.Sprintf("%.20q", user), func(t *testing.T) {
			t.Parallel()
			dir := newDir(t)
			serve(t, listen(t, dir, 5, 0), func(int) { t.Error("connected") })
			wantSaid(t, run(t, sanitized, dir, scene{user: user, token: "secret"}))
		})
	}
}

func TestNamesAreEscaped(t *testing.T) {
	for user, want := range map[string]string{
		`a"b\c`: `a\"b\\c`, "jürgen": "jürgen", `","x":"`: `\",\"x\":\"`,
		strings.Repeat(`"`, 256): strings.Repeat(`\"`, 256),
	} {
		t.Run(fmt.Sprintf("%.10q", user), func(t *testing.T) {
			t.Parallel()
			dir := newDir(t)
			writeManaged(t, dir, user+"\tx.service\n")
			got := make(chan request, 1)
			serve(t, listen(t, dir, 5, 0), func(conn int) {
				r, _ := receive(conn)
				got <- r
			})
			wantSaid(t, run(t, sanitized, dir, scene{user: user, token: "secret"}), strings.NewReplacer("admin", user, "128T", "x").Replace(queued))
			if r := <-got; r.text != `{"op":"pam-changed","plain":true,"user":"`+want+`"}` {
				t.Errorf("sent %q", r.text)
			}
		})
	}
}

// The module promises nothing about an account that is not local.
func TestAccountsOfLDAP(t *testing.T) {
	for name, c := range map[string]struct {
		passwd string
		said   []string
	}{
		"local":             {"root:x:0:0::/:/bin/sh\nadmin:x:1000:1000::/:/bin/sh\n", []string{queued}},
		"of LDAP":           {"root:x:0:0::/:/bin/sh\nadmin2:x:1000:1000::/:/bin/sh\nadmi:x:1:1::/:/bin/sh\n", nil},
		"nobody is local":   {"", nil},
		"not to be read":    {strings.Repeat("x", 1<<20), []string{queued}},
		"the file is gone":  {"-", []string{queued}},
		"among 100,000":     {strings.Repeat("someone:x:1:1::/:/bin/sh\n", 100_000) + "admin:x:1:1::/:/bin/sh\n", []string{queued}},
		"not among 100,000": {strings.Repeat("someone:x:1:1::/:/bin/sh\n", 100_000), nil},
	} {
		t.Run(name, func(t *testing.T) {
			inBothBuilds(t, func(t *testing.T, b build, dir string) {
				if c.passwd != "-" {
					if err := os.WriteFile(filepath.Join(dir, "passwd"), []byte(c.passwd), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				wantSaid(t, run(t, b, dir, scene{token: "secret"}), c.said...)
			})
		})
	}
}

// Without a list the module does not know which accounts are managed: it asks the broker, and shows nothing if that does
// not answer.
func TestListOfManagedAccounts(t *testing.T) {
	long := strings.Repeat("u", 7000)
	cases := map[string]struct {
		list string // "-": no file
		said []string
	}{
		"missing":            {"-", nil},
		"empty":              {"", nil},
		"first":              {"admin\t128T.service\nb\tc\n", []string{queued}},
		"last":               {"b\tc\nadmin\t128T.service\n", []string{queued}},
		"final line torn":    {"admin\t128T.service", nil},
		"no unit":            {"admin\n", nil},
		"hostile unit":       {"admin\tx\x1b[2J\xff.service\n", []string{strings.Replace(queued, "128T", "x?[2J?", 1)}},
		"over-long unit":     {"admin\t" + long + "\n", []string{strings.Replace(queued, "128T.service", long[:255], 1)}},
		"across the buffer":  {strings.Repeat("someone\tsome.service\n", 5000) + "admin\t128T.service\n", []string{queued}},
		"line without end":   {strings.Repeat("x", 1<<20) + "\nadmin\t128T.service\n", nil},
		"longer than 8 MiB":  {strings.Repeat("someone\tsome.service\n", 500_000) + "admin\t128T.service\n", nil},
		"100,000th account":  {accounts(100_000) + "admin\t128T.service\n", []string{queued}},
		"missing among many": {accounts(100_000), nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			inBothBuilds(t, func(t *testing.T, b build, dir string) {
				writeManaged(t, dir, c.list)
				if c.list == "-" {
					os.Remove(filepath.Join(dir, "run", "managed"))
				}
				wantSaid(t, run(t, b, dir, scene{token: "secret"}), c.said...)
			})
		})
	}
}

func accounts(n int) string {
	var list strings.Builder
	for i := range n {
		fmt.Fprintf(&list, "user%06d\tapplication-of-many.service\n", i)
	}
	return list.String()
}

func TestListIsMissingAndBrokerAnswers(t *testing.T) {
	inBothBuilds(t, func(t *testing.T, b build, dir string) {
		os.Remove(filepath.Join(dir, "run", "managed"))
		serve(t, listen(t, dir, 5, 0), answering(answerOf(persisted)))
		wantSaid(t, run(t, b, dir, scene{token: "secret"}), persisted)
	})
}

// The module reads only a regular file of root's, and opening anything else must not block.
func TestListIsNotRootsFile(t *testing.T) {
	cases := map[string]func(t *testing.T, dir string){
		"FIFO": func(t *testing.T, dir string) { fifo(t, dir, "managed") },
		"folder": func(t *testing.T, dir string) {
			remake(t, dir, "managed", func(p string) error { return os.Mkdir(p, 0o755) })
		},
		"symlink":   func(t *testing.T, dir string) { symlink(t, dir, "managed") },
		"another's": func(t *testing.T, dir string) { os.Chown(filepath.Join(dir, "run", "managed"), 65534, 0) },
	}
	for name, prepare := range cases {
		t.Run(name, func(t *testing.T) {
			inBothBuilds(t, func(t *testing.T, b build, dir string) {
				prepare(t, dir)
				wantSaid(t, run(t, b, dir, scene{token: "secret"}))
			})
		})
	}
}

func remake(t *testing.T, dir, name string, remake func(path string) error) {
	t.Helper()
	path := filepath.Join(dir, "run", name)
	os.Remove(path)
	if err := remake(path); err != nil {
		t.Fatal(err)
	}
}

// symlink replaces a file of the run directory with a link to a file of the same contents elsewhere.
func symlink(t *testing.T, dir, name string) {
	t.Helper()
	remake(t, dir, name, func(path string) error {
		target := filepath.Join(dir, "target")
		if err := os.WriteFile(target, []byte(managedList), 0o644); err != nil {
			return err
		}
		return os.Symlink(target, path)
	})
}

func TestThousandChangesAfterTimeout(t *testing.T) {
	dir := newDir(t)
	serve(t, listen(t, dir, 5, 0), untilClosed)
	r := run(t, release, dir, scene{token: "secret", calls: 1001})
	wantSaid(t, r, queued)
	if r.all > 3*time.Second+2*time.Second {
		t.Errorf("1,000 changes after a time-out took %v in all", r.all)
	}
}

func TestAnswerEndsSilence(t *testing.T) {
	inBothBuilds(t, func(t *testing.T, b build, dir string) {
		mark(t, dir, bootTime(t)-31)
		serve(t, listen(t, dir, 5, 0), answering(answerOf(persisted)))
		wantSaid(t, run(t, b, dir, scene{token: "secret"}), persisted)
		if timeoutMarked(t, dir) {
			t.Error("the mark is still there")
		}
	})
}

// The mark holds the time since boot, so that setting the clock cannot make the silence longer.
func TestMarkOfTimeout(t *testing.T) {
	cases := map[string]struct {
		offset int64 // seconds from now, on the clock since boot
		silent bool
	}{
		"now": {0, true}, "27 s ago": {-27, true}, "31 s ago": {-31, false}, "of the future": {60, false},
		"wall clock's": {time.Now().Unix(), false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			inBothBuilds(t, func(t *testing.T, b build, dir string) {
				mark(t, dir, bootTime(t)+c.offset)
				want := []string{queued}
				if c.silent {
					want = nil
				}
				wantSaid(t, run(t, b, dir, scene{token: "secret"}), want...)
			})
		})
	}
}

func TestMarkIsNotRootsFile(t *testing.T) {
	cases := map[string]func(t *testing.T, dir string){
		"FIFO":    func(t *testing.T, dir string) { fifo(t, dir, "pam-timeout") },
		"symlink": func(t *testing.T, dir string) { symlink(t, dir, "pam-timeout") },
	}
	for name, prepare := range cases {
		t.Run(name, func(t *testing.T) {
			inBothBuilds(t, func(t *testing.T, b build, dir string) {
				prepare(t, dir)
				serve(t, listen(t, dir, 5, 0), untilClosed)
				wantSaid(t, run(t, b, dir, scene{token: "secret"}), queued)
				if info, err := os.Stat(filepath.Join(dir, "target")); err == nil && time.Since(info.ModTime()) > time.Hour {
					t.Error("the target of the link was marked")
				}
			})
		})
	}
}

func bootTime(t *testing.T) int64 {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		t.Fatal(err)
	}
	return now.Sec
}

func mark(t *testing.T, dir string, seconds int64) {
	t.Helper()
	write(t, dir, "pam-timeout")
	at := time.Unix(seconds, 0)
	if err := os.Chtimes(filepath.Join(dir, "run", "pam-timeout"), at, at); err != nil {
		t.Fatal(err)
	}
}
