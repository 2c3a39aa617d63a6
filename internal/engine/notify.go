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

// noticeDeadline is how long the administrator's program may take, and startTime how
// long its start: nobody waits for either with a password in doubt.
const (
	noticeDeadline = 10 * time.Second
	startTime      = 2 * time.Second
)

// notice is what the program reads on its standard input. There is no hash in it,
// and no clear text anywhere near it.
type notice struct {
	Node   string             `json:"node"`
	Asset  string             `json:"asset"`
	Events []shadowsync.Event `json:"events"`
}

// notifier tells the administrator's program of what needs a person.
type notifier struct {
	config *config.Config
	teller *teller // of what could not be started
	start  func(context.Context, systemd.NoticeUnit) error
	runs   atomic.Int64
	open   sync.WaitGroup
}

// newNotifier is nil where nobody is to be told: none is configured, or the system is a mounted one.
func newNotifier(root string, c *config.Config, t *teller) *notifier {
	if c.Notify.Command == "" || root != "/" {
		return nil
	}
	return &notifier{config: c, teller: t, start: (&systemd.Bus{}).StartNotice}
}

// newsworthy tells what a person should hear of: a change that waits, one that
// needs a decision, an application that keeps writing old values back.
func newsworthy(e shadowsync.Event) bool {
	return e.Action == "alarm" || e.Result == shadowsync.Pending || e.Result == shadowsync.Conflict
}

// tell starts the program once for all that is newsworthy among these.
func (n *notifier) tell(events []shadowsync.Event) {
	if n == nil {
		return
	}
	news := notice{Node: n.config.Node.Name, Asset: n.config.Node.Asset}
	for _, e := range events {
		if newsworthy(e) {
			news.Events = append(news.Events, e)
		}
	}
	if len(news.Events) == 0 {
		return
	}
	n.open.Go(func() {
		if err := n.run(news); err != nil {
			n.teller.tell(shadowsync.Event{At: time.Now(), Action: "not-notified", Result: shadowsync.Pending, Reason: err.Error()})
		}
	})
}

func (n *notifier) run(news notice) error {
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
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	return n.start(ctx, systemd.NoticeUnit{
		Name: fmt.Sprintf("%d-%d", os.Getpid(), n.runs.Add(1)), Program: n.config.Notify.Command,
		User: n.config.Notify.User, Stdin: stdin, Deadline: noticeDeadline,
	})
}

// wait waits until every program has started.
func (n *notifier) wait() {
	if n != nil {
		n.open.Wait()
	}
}
