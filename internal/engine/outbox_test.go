package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/factor/mail"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// posts makes the system send so many notices by send, and ends when our process would.
func (s system) posts(t *testing.T, notices int, patience time.Duration, send func(context.Context, mail.Message) error) (notMailed map[string]int) {
	t.Helper()
	s.engine.mail.instead, s.engine.mail.config.Server = send, "127.0.0.1:25"
	for i := range notices {
		s.engine.notify([]string{"anna@example.net"}, []shadowsync.Event{{Account: fmt.Sprint("user", i), Action: factor.ActionReset}})
	}
	s.engine.mail.notices.wait(patience)
	notMailed = map[string]int{}
	for r, err := range s.engine.State.Trail(t.Context(), state.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Event.Action == factor.ActionNotMailed {
			notMailed[r.Event.Account]++
			if !strings.Contains(r.Event.Reason, "a notice: ") {
				t.Errorf("the cause is %q", r.Event.Reason)
			}
		}
	}
	return notMailed
}

// TestNoticesOfManyResets: a few are on their way at a time, and our process ends when all are sent.
func TestNoticesOfManyResets(t *testing.T) {
	var now, most, all atomic.Int64
	left := mount(t, 3).posts(t, 200, time.Minute, func(context.Context, mail.Message) error {
		defer now.Add(-1)
		for n := now.Add(1); ; {
			if before := most.Load(); n <= before || most.CompareAndSwap(before, n) {
				break
			}
		}
		all.Add(1)
		return nil
	})
	if all.Load() != 200 || most.Load() > mostMails || len(left) > 0 {
		t.Errorf("%d sent, %d at a time, not mailed: %v", all.Load(), most.Load(), left)
	}
}

// TestNoticesThatAreLeft: a server that is silent does not keep our process, and what was not sent is in
// the audit, once.
func TestNoticesThatAreLeft(t *testing.T) {
	var began atomic.Int64
	left := mount(t, 3).posts(t, 50, time.Millisecond, func(ctx context.Context, _ mail.Message) error {
		began.Add(1)
		<-ctx.Done()
		return errors.New("the mail server did not answer in time")
	})
	for name, times := range left {
		if times != 1 {
			t.Errorf("%s is %d times in the audit", name, times)
		}
	}
	if len(left) != 50 || began.Load() > mostMails {
		t.Errorf("%d begun, %d not mailed", began.Load(), len(left))
	}
}
