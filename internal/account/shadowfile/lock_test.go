package shadowfile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
	"golang.org/x/sys/unix"
)

// Environment variables that make the test binary another program.
const (
	actEnv  = "SHADOWFILE_TEST_ACT"  // what to do, see TestMain
	rootEnv = "SHADOWFILE_TEST_ROOT" // where
)

// TestMain lets the tests start this binary as a process that holds the locks or writes.
func TestMain(m *testing.M) {
	var err error
	switch act := os.Getenv(actEnv); act {
	case "":
		os.Exit(m.Run())
	case "hold":
		err = holdLocks(os.Getenv(rootEnv))
	case "write":
		err = writeForever(os.Getenv(rootEnv))
	case "write-once":
		err = writeOnce(os.Getenv(rootEnv), "$y$once")
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

// holdLocks prints "locked" and holds the locks until it is killed.
func holdLocks(root string) error {
	t, err := openTree(root)
	if err != nil {
		return err
	}
	if _, err := t.lock(context.Background(), shadowName); err != nil {
		return err
	}
	fmt.Println("locked")
	select {}
}

func writeForever(root string) error {
	for i := 0; ; i++ {
		if err := writeOnce(root, fmt.Sprintf("$y$%d$%s", i, strings.Repeat("x", i%50))); err != nil {
			return err
		}
	}
}

func writeOnce(root, hash string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	f := Open(root)
	snapshot, err := f.Read(ctx, []string{"admin"})
	if err != nil {
		return err
	}
	_, err = f.Write(ctx, []shadowsync.Write{setHash(snapshot.Accounts["admin"], hash)})
	return err
}

// start runs this binary as another program; it is killed when the test ends.
func start(t *testing.T, act, root string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), actEnv+"="+act, rootEnv+"="+root)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	if act == "hold" {
		buffer := make([]byte, 100)
		n, _ := out.Read(buffer)
		if string(buffer[:n]) != "locked\n" {
			t.Fatalf("the holder said %q", buffer[:n])
		}
	}
	return cmd
}

func TestStaleLockIsBroken(t *testing.T) {
	root := testRoot(t, testPasswd, testGroup, testShadow)
	holder := start(t, "hold", root)
	must(t, holder.Process.Kill())
	holder.Wait()
	lockPath := filepath.Join(root, "etc", shadowName+lockSuffix)
	if _, err := os.Stat(lockPath); err != nil {
		t.Fatal("the killed holder left no lock: ", err)
	}
	put(t, filepath.Join(root, "etc", shadowName+tempSuffix), "half a fi", 0o600)
	must(t, writeOnce(root, "$y$new"))
	if files := leftovers(t, root); len(files) > 0 {
		t.Errorf("left behind: %v", files)
	}
	// After a reboot this process may have the pid of a process that died with the lock.
	put(t, lockPath, strconv.Itoa(os.Getpid())+"\x00", 0o600)
	must(t, writeOnce(root, "$y$newer"))
}

// The pid in a mounted system's lock is from another boot; the process with that pid here began
// later.
func TestLockOfAnotherMachineIsBroken(t *testing.T) {
	root := testRoot(t, testPasswd, testGroup, testShadow)
	sleeper := exec.Command("sleep", "60")
	must(t, sleeper.Start())
	t.Cleanup(func() { sleeper.Process.Kill(); sleeper.Wait() })
	lockPath := filepath.Join(root, "etc", shadowName+lockSuffix)
	put(t, lockPath, strconv.Itoa(sleeper.Process.Pid)+"\x00", 0o600)
	before := time.Now().Add(-time.Hour)
	must(t, os.Chtimes(lockPath, before, before))
	must(t, writeOnce(root, "$y$new"))
	if files := leftovers(t, root); len(files) > 0 {
		t.Errorf("left behind: %v", files)
	}
}

// A stopped holder keeps both locks: the tools of shadow-utils and pam_unix give up after the 15 s
// of lckpwdf(3), and this package at its deadline, naming the process.
func TestLiveHolderIsWaitedForAndNamed(t *testing.T) {
	root := testRoot(t, testPasswd, testGroup, testShadow)
	holder := start(t, "hold", root)
	must(t, holder.Process.Signal(unix.SIGSTOP))
	admin := read(t, Open(root))["admin"]
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := Open(root).Write(ctx, []shadowsync.Write{setHash(admin, "$y$new")})
	if !errors.Is(err, shadowsync.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	if waited := time.Since(began); waited > 10*time.Second {
		t.Errorf("waited for %v", waited)
	}
	if shadowOf(t, root) != testShadow {
		t.Error("written in spite of the lock")
	}
}

func TestBusyFileLockDoesNotKeepThePwdLock(t *testing.T) {
	root := testRoot(t, testPasswd, testGroup, testShadow)
	sleeper := exec.Command("sleep", "60")
	must(t, sleeper.Start())
	t.Cleanup(func() { sleeper.Process.Kill(); sleeper.Wait() })
	lockPath := filepath.Join(root, "etc", shadowName+lockSuffix)
	put(t, lockPath, strconv.Itoa(sleeper.Process.Pid)+"\x00", 0o600)

	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	admin := read(t, Open(root))["admin"]
	_, err := Open(root).Write(ctx, []shadowsync.Write{setHash(admin, "$y$new")})
	if !errors.Is(err, shadowsync.ErrUnavailable) || !strings.Contains(err.Error(), "(\"sleep\")") {
		t.Errorf("error %v", err)
	}
	tree, err := openTree(root)
	must(t, err)
	defer tree.close()
	pwd, err := tree.lockPwd()
	must(t, err)
	must(t, unlockPwd(pwd))

	time.AfterFunc(50*time.Millisecond, func() { os.Remove(lockPath) })
	must(t, writeOnce(root, "$y$new"))
}

func TestLockWithoutPidIsLeftToAPerson(t *testing.T) {
	for _, content := range []string{"", "\x00", "x", "-1", "0"} {
		root := testRoot(t, testPasswd, testGroup, testShadow)
		lockPath := filepath.Join(root, "etc", shadowName+lockSuffix)
		put(t, lockPath, content, 0o600)
		err := writeOnce(root, "$y$new")
		if !errors.Is(err, shadowsync.ErrUnavailable) || !strings.Contains(err.Error(), lockPath) {
			t.Errorf("%q: %v", content, err)
		}
	}
}

// Goroutines with their own File exclude each other, too.
func TestConcurrentWritersLoseNothing(t *testing.T) {
	const each = 40
	root := bigTree(t, 8)
	failures := make(chan error, 8)
	for n := range 8 {
		go func() { failures <- countUp(root, fmt.Sprint("user", n), each) }()
	}
	for range 8 {
		if err := <-failures; err != nil {
			t.Error(err)
		}
	}
	for name, a := range read(t, Open(root)) {
		if want := fmt.Sprint("$y$", each-1); a.Hash != want {
			t.Errorf("%s has %q, want %q", name, a.Hash, want)
		}
	}
}

// countUp gives an account the hashes $y$0 to $y$(n-1), one by one.
func countUp(root, name string, n int) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	f := Open(root)
	for i := range n {
		snapshot, err := f.Read(ctx, []string{name})
		if err != nil {
			return err
		}
		left, err := f.Write(ctx, []shadowsync.Write{setHash(snapshot.Accounts[name], fmt.Sprint("$y$", i))})
		if err != nil || len(left) > 0 {
			return fmt.Errorf("write %d of %s: %v, %w", i, name, left, err)
		}
	}
	return nil
}
