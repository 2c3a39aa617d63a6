package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/systemd"
)

// Time limits: noticeDeadline for the administrator's program, startTime for its start, and
// endPatience for how long our process waits at its end for the program's result.
const (
	noticeDeadline = 10 * time.Second
	startTime      = 2 * time.Second
	endPatience    = time.Second
)

// notice is the program's standard input. It contains no hash and no clear text.
type notice struct {
	Node   string             `json:"node"`
	Asset  string             `json:"asset"`
	Events []shadowsync.Event `json:"events"`
}

// notifier notifies the administrator's program of events that need attention.
type notifier struct {
	config *config.Config
	run    func(context.Context, systemd.NoticeUnit) error
	runs   atomic.Int64
	open   sync.WaitGroup
	going  context.Context // done: we no longer wait for the program's result
	leave  context.CancelFunc
	ends   outcomes

	mu      sync.Mutex
	waiting backlog
}

// newNotifier returns nil if no program is configured, or on a mounted system.
func newNotifier(root string, c *config.Config, trail trail) *notifier {
	if c.Notify.Command == "" || root != "/" {
		return nil
	}
	n := &notifier{config: c, run: (&systemd.Bus{}).RunNotice, ends: outcomes{program: c.Notify.Command, trail: trail}}
	n.going, n.leave = context.WithCancel(context.Background())
	return n
}

// newsworthy selects the events for the administrator: a pending change, a conflict, an application
// that keeps writing old values back.
func newsworthy(e shadowsync.Event) bool {
	return e.Action == "alarm" || e.Result == shadowsync.Pending || e.Result == shadowsync.Conflict
}

// tell starts the program once for all newsworthy events among these. If it may not start yet, it
// starts later, with these and newer events.
func (n *notifier) tell(events []shadowsync.Event) {
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, e := range events {
		if newsworthy(e) {
			n.waiting.add(e)
		}
	}
	due, wait := n.waiting.turn(time.Now())
	if wait > 0 && n.waiting.timer == nil && len(n.waiting.events) > 0 {
		n.waiting.timer = time.AfterFunc(wait, n.resume)
	}
	n.send(due)
}

// resume sends the events that had to wait.
func (n *notifier) resume() {
	n.mu.Lock()
	n.waiting.timer = nil
	n.mu.Unlock()
	n.tell(nil)
}

func (n *notifier) send(events []shadowsync.Event) {
	if len(events) == 0 {
		return
	}
	news := notice{Node: n.config.Node.Name, Asset: n.config.Node.Asset, Events: events}
	n.open.Go(func() {
		err := n.start(news)
		if n.going.Err() == nil { // otherwise the result is unknown
			n.ends.ended(err, time.Now())
		}
	})
}

// start runs the program and returns its result.
func (n *notifier) start(news notice) error {
	text, err := json.Marshal(news)
	if err != nil {
		return fmt.Errorf("cannot notify: %w", err)
	}
	fd, err := unix.MemfdCreate("shadowsync-notice", unix.MFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("cannot notify: %w", err)
	}
	stdin := os.NewFile(uintptr(fd), "notice")
	defer stdin.Close()
	if _, err := stdin.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("cannot notify: %w", err)
	}
	if _, err := stdin.Seek(0, 0); err != nil {
		return fmt.Errorf("cannot notify: %w", err)
	}
	ctx, cancel := context.WithTimeout(n.going, startTime+noticeDeadline)
	defer cancel()
	return n.run(ctx, systemd.NoticeUnit{
		Name: fmt.Sprintf("%d-%d", os.Getpid(), n.runs.Add(1)), Program: n.config.Notify.Command,
		User: n.config.Notify.User, Stdin: stdin, Deadline: noticeDeadline,
	})
}

// wait sends the waiting events, and waits a moment for the results of the programs. A program that
// takes longer continues without us.
func (n *notifier) wait() {
	if n == nil {
		return
	}
	n.mu.Lock()
	if n.waiting.timer != nil {
		n.waiting.timer.Stop()
		n.waiting.timer = nil
	}
	n.send(n.waiting.events)
	n.waiting.events = nil
	n.mu.Unlock()
	defer time.AfterFunc(endPatience, n.leave).Stop()
	n.open.Wait()
}
