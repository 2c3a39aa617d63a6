// Command latency measures, on the machine under test, how long it takes until a change of
// /etc/shadow is durable in a store. It changes a password with usermod(8) repeatedly and takes
// both times from inotify(7): the rename onto /etc/shadow, and the event that shows the store's
// commit (SQLite deletes its rollback journal; a JSON file is renamed into place).
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Result is what the bench reads; times are in microseconds.
type Result struct {
	Changes  int     `json:"changes"`
	Durable  int     `json:"durable"` // within the patience
	Micros   []int64 `json:"micros"`
	TotalMS  int64   `json:"total_ms"`
	LastHash string  `json:"last_hash"`
}

// apart is the pause before each measured change.
const apart = 50 * time.Millisecond

const salt = "VdlqHNmVsAzQyLuyPYLSFGzJrkpcj0MyW4Pd9bGsYTTJdNt0kkJeHTfv3lLUPCC5YJnNuqCYjAPTJTkSaBNH5."

func main() {
	n := flag.Int("n", 100, "changes")
	commit := flag.String("commit", "", "file whose deletion or renaming-in is the commit")
	account := flag.String("account", "admin", "")
	patience := flag.Duration("patience", time.Second, "wait for one commit")
	burst := flag.Bool("burst", false, "change as fast as usermod can; wait only at the end")
	flag.Parse()
	r, err := measure(*n, *account, *commit, *patience, *burst)
	if err != nil {
		fmt.Fprintln(os.Stderr, "latency:", err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
		os.Exit(1)
	}
}

type event struct {
	at     time.Time
	shadow bool
}

func measure(n int, account, commit string, patience time.Duration, burst bool) (Result, error) {
	events, err := watch(commit)
	if err != nil {
		return Result{}, err
	}
	r := Result{Changes: n}
	began := time.Now()
	for i := range n {
		if !burst {
			time.Sleep(apart) // measures latency, not throughput: work after a commit ends within this pause
		}
		r.LastHash = fmt.Sprintf("$6$bench%08d$%s", i, salt)
		if err := exec.Command("usermod", "-p", r.LastHash, account).Run(); err != nil {
			return r, fmt.Errorf("usermod: %w", err)
		}
		if burst {
			continue
		}
		if took, ok := await(events, patience); ok {
			r.Durable++
			r.Micros = append(r.Micros, took.Microseconds())
		}
	}
	r.TotalMS = time.Since(began).Milliseconds()
	if burst {
		r.Durable = drain(events, 3*time.Second)
	}
	return r, nil
}

// await returns the time from the last rename to the next commit.
func await(events <-chan event, patience time.Duration) (time.Duration, bool) {
	var renamed time.Time
	timeout := time.After(patience)
	for {
		select {
		case e := <-events:
			if e.shadow {
				renamed = e.at
			} else if !renamed.IsZero() {
				return e.at.Sub(renamed), true
			}
		case <-timeout:
			return 0, false
		}
	}
}

// drain counts commits until none has come for a while.
func drain(events <-chan event, quiet time.Duration) (commits int) {
	for {
		select {
		case e := <-events:
			if !e.shadow {
				commits++
			}
		case <-time.After(quiet):
			return commits
		}
	}
}

func watch(commit string) (<-chan event, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if err != nil {
		return nil, err
	}
	etc, err := unix.InotifyAddWatch(fd, "/etc", unix.IN_MOVED_TO)
	if err != nil {
		return nil, err
	}
	store, err := unix.InotifyAddWatch(fd, filepath.Dir(commit), unix.IN_MOVED_TO|unix.IN_DELETE)
	if err != nil {
		return nil, err
	}
	events := make(chan event, 1<<16)
	ahead := make(chan error)
	go func() {
		runtime.LockOSThread()
		ahead <- goAhead()
		read(fd, etc, store, filepath.Base(commit), events)
	}()
	return events, <-ahead
}

// goAhead gives this thread real-time priority. inotify(7) events have no timestamps, so two events
// that are read together would seem simultaneous.
func goAhead() error {
	err := unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}, 0)
	return os.NewSyscallError("sched_setattr", err)
}

func read(fd, etc, store int, commit string, events chan<- event) {
	buffer := make([]byte, 1<<16)
	for {
		n, err := unix.Read(fd, buffer)
		now := time.Now()
		if err != nil {
			return
		}
		for b := buffer[:n]; len(b) >= unix.SizeofInotifyEvent; {
			e := (*unix.InotifyEvent)(unsafe.Pointer(&b[0]))
			name := strings.TrimRight(string(b[unix.SizeofInotifyEvent:unix.SizeofInotifyEvent+int(e.Len)]), "\x00")
			b = b[unix.SizeofInotifyEvent+int(e.Len):]
			if int(e.Wd) == etc && name == "shadow" {
				events <- event{now, true}
			}
			if int(e.Wd) == store && name == commit {
				events <- event{now, false}
			}
		}
	}
}
