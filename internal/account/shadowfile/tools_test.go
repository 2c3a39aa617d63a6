package shadowfile

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/test/eventually"
	"github.com/shadowsync/shadowsync/shadowsync"
	"golang.org/x/sys/unix"
)

func itoa(n int) string { return strconv.Itoa(n) }

// run runs a tool with this input; another locale than C would not change what the tests look at.
func run(input, name string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(input)
	cmd.Env = append(os.Environ(), "PATH=/usr/sbin:/usr/bin:/sbin:/bin")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %v: %w: %s", name, args, err, out)
	}
	return nil
}

func needTools(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("no %s", name)
		}
	}
}

// changer makes the i-th change of its account in its own way, and checks that the account shows
// it.
type changer struct {
	account string
	times   int
	change  func(account string, i int) error
	shows   func(c shadowsync.Credential, i int) bool
}

func hashIs(c shadowsync.Credential, i int) bool { return c.Hash == fmt.Sprint("$6$salt$", i) }

// changers are the tools that change shadow(5), with and without PAM, and this package.
func changers() []changer {
	write := func(account string, i int) error {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		snapshot, err := Open("/").Read(ctx, []string{account})
		if err != nil {
			return err
		}
		left, err := Open("/").Write(ctx, []shadowsync.Write{setHash(snapshot.Accounts[account], fmt.Sprint("$6$salt$", i))})
		return errors.Join(err, left[account])
	}
	return []changer{
		{"ours1", 60, write, hashIs},
		{"ours2", 60, write, hashIs},
		{"ours3", 60, write, hashIs},
		{"usermod", 60, func(a string, i int) error { return run("", "usermod", "-p", fmt.Sprint("$6$salt$", i), a) }, hashIs},
		{"chpasswde", 60, func(a string, i int) error { return run(fmt.Sprintf("%s:$6$salt$%d", a, i), "chpasswd", "-e") }, hashIs},
		{
			"chage", 60, func(a string, i int) error { return run("", "chage", "-M", itoa(100+i), a) },
			func(c shadowsync.Credential, i int) bool { return c.Max == shadowsync.Day(100+i) },
		},
		{
			"lock", 60, func(a string, i int) error { return run("", "passwd", []string{"-l", "-u"}[i%2], a) },
			func(c shadowsync.Credential, i int) bool { return c.Locked == (i%2 == 0) },
		},
		{
			"pam", 20, func(a string, i int) error { return run(fmt.Sprintf("%s:Pass-Word-%d\n", a, i), "chpasswd") },
			func(c shadowsync.Credential, _ int) bool { return c.LastChange > 19000 && c.Hash != "$6$salt$start" },
		},
		{"vipw", 15, vipw, hashIs},
	}
}

// vipw edits an account's line. It considers a file unchanged if its time stamp is in the same
// second, so the editor sets a later one: later also than that of the edit before.
func vipw(account string, i int) error {
	script := fmt.Sprintf(`sed -i 's/^%s:[^:]*/%s:$6$salt$%d/' "$0"; touch -d +%dhours "$0"`, account, account, i, i+1)
	return run("", "env", "EDITOR=sh -c '"+strings.ReplaceAll(script, "'", `'"'"'`)+"'", "vipw", "-s")
}

func TestBesideTheRealTools(t *testing.T) {
	needTools(t, "usermod", "chpasswd", "chage", "passwd", "vipw")
	privately(t, func(t *testing.T) {
		all := changers()
		names := []string{"bystander1"}
		for _, c := range all {
			names = append(names, c.account)
		}
		privateEtc(t, append(names, "bystander2")...)
		bystanders := others(t, names[1:])
		var wait sync.WaitGroup
		for _, c := range all {
			wait.Go(func() { runChanger(t, c) })
		}
		wait.Wait()
		if now := others(t, names[1:]); !slices.Equal(now, bystanders) {
			t.Errorf("other lines\n%q, want\n%q", now, bystanders)
		}
		var st unix.Stat_t
		must(t, unix.Stat("/etc/shadow", &st))
		if st.Gid != 42 || st.Mode&0o7777 != 0o640 {
			t.Errorf("group %d, mode %o", st.Gid, st.Mode)
		}
	})
}

// runChanger makes the changes one by one; each must still be there right after it, because no
// other changer changes this account.
func runChanger(t *testing.T, c changer) {
	for i := range c.times {
		if err := c.change(c.account, i); err != nil {
			t.Errorf("change %d of %s: %v", i, c.account, err)
			return
		}
		snapshot, err := readQuiet(c.account)
		if now := snapshot.Accounts[c.account].Credential; err != nil || !c.shows(now, i) {
			t.Errorf("change %d of %s is lost: %+v, %v", i, c.account, now, err)
			return
		}
	}
}

// readQuiet reads an account, again if the file was being written, as the broker does.
func readQuiet(account string) (snapshot shadowsync.OSSnapshot, err error) {
	for range 100 {
		if snapshot, err = Open("/").Read(context.Background(), []string{account}); !errors.Is(err, shadowsync.ErrUnavailable) {
			break
		}
	}
	return snapshot, err
}

// others returns the lines of /etc/shadow that do not belong to these accounts.
func others(t *testing.T, accounts []string) []string {
	t.Helper()
	return slices.DeleteFunc(slices.Collect(strings.Lines(shadowOf(t, "/"))), func(line string) bool {
		name, _, _ := strings.Cut(line, ":")
		return slices.Contains(accounts, name)
	})
}

// The holder is a real tool: vipw keeps both locks while its editor runs.
func TestVipwIsWaitedForAndNamed(t *testing.T) {
	needTools(t, "vipw")
	privately(t, func(t *testing.T) {
		privateEtc(t, "admin")
		editor := exec.Command("env", "EDITOR=touch /etc/editing; while [ -e /etc/editing ]; do sleep 0.01; done; true", "vipw", "-s")
		must(t, editor.Start())
		appears(t, "/etc/editing")
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		write := setHash(read(t, Open("/"))["admin"], "$y$new")
		_, err := Open("/").Write(ctx, []shadowsync.Write{write})
		if !errors.Is(err, shadowsync.ErrUnavailable) || !strings.Contains(err.Error(), `("vipw")`) {
			t.Errorf("error %v", err)
		}
		time.AfterFunc(100*time.Millisecond, func() { os.Remove("/etc/editing") })
		if left, err := Open("/").Write(soon(t), []shadowsync.Write{write}); err != nil || len(left) > 0 {
			t.Errorf("after the edit: %v, %v", left, err)
		}
		must(t, editor.Wait())
	})
}

func appears(t *testing.T, path string) {
	t.Helper()
	eventually.Holds(t, path, func() bool { _, err := os.Stat(path); return err == nil })
}

// A writer that is killed at any moment leaves a whole file, and locks that the tools and this
// package can break.
func TestKilledWriterLeavesAWholeFile(t *testing.T) {
	needTools(t, "usermod", "passwd")
	privately(t, func(t *testing.T) {
		privateEtc(t, "first", "admin", "last")
		valid := regexp.MustCompile(`^root:.*\nfirst:.*\nadmin:\$(6\$salt\$start|y\$\d+\$x*):19000:0:99999:7:::\nlast:\$6\$salt\$start:19000:0:99999:7:::\n$`)
		locked := 0
		for i := range 60 {
			writer := start(t, "write", "/")
			if i%2 == 0 {
				time.Sleep(time.Duration(5+rand.IntN(30)) * time.Millisecond) // at any moment
			} else {
				appears(t, "/etc/"+shadowName+lockSuffix)
			}
			must(t, writer.Process.Kill())
			writer.Wait()
			if !valid.MatchString(shadowOf(t, "/")) {
				t.Fatalf("after kill %d: %q", i, shadowOf(t, "/"))
			}
			if _, err := os.Stat("/etc/" + shadowName + lockSuffix); err == nil {
				locked++
			}
			must(t, run("", "usermod", "-p", itoa(i), "first"))
		}
		must(t, writeOnce("/", "$y$1$"))
		t.Logf("%d of 60 kills left a lock behind", locked)
		if locked == 0 {
			t.Error("no kill hit a writer that held the lock")
		}
	})
}
