package engine

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/factor/mail"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// mostMails bounds how many notices are on their way at a time: each is a unit and a connection.
const mostMails = 4

// mailPatience is how long our process waits at its end for the notices that are left.
const mailPatience = time.Minute

// errLeft is the cause for a notice that was left at the end of our process.
var errLeft = errors.New("the program ended before it was sent")

// letter is a notice to be sent.
type letter struct {
	about   shadowsync.Event
	message mail.Message
	by      *postman
	engine  *Engine
}

// outbox sends notices in the background, a few at a time.
type outbox struct {
	going context.Context // done: what is left is not sent
	leave context.CancelFunc
	open  sync.WaitGroup

	mu       sync.Mutex
	waiting  []letter
	carriers int
}

func newOutbox() *outbox {
	o := &outbox{}
	o.going, o.leave = context.WithCancel(context.Background())
	return o
}

func (o *outbox) add(l letter) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting = append(o.waiting, l)
	if o.carriers < mostMails {
		o.carriers++
		o.open.Go(o.carry)
	}
}

// next returns a letter; false: there is none, and the carrier ends.
func (o *outbox) next() (l letter, found bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.waiting) == 0 {
		o.carriers--
		return l, false
	}
	l, o.waiting = o.waiting[0], o.waiting[1:]
	return l, true
}

func (o *outbox) carry() {
	for l, found := o.next(); found; l, found = o.next() {
		err := errLeft
		if o.going.Err() == nil {
			err = l.by.send(o.going, l.message)
		}
		if err != nil {
			_ = l.engine.Audit(context.Background(), l.failed(err)) // it is in the journal at least
		}
	}
}

func (l letter) failed(err error) shadowsync.Event {
	return shadowsync.Event{
		At: time.Now(), Application: l.about.Application, Account: l.about.Account, Action: factor.ActionNotMailed,
		Reason: "a notice: " + err.Error(), Origin: l.about.Origin,
	}
}

// wait waits for the notices that are left, and audits what is not sent by then.
func (o *outbox) wait(patience time.Duration) {
	defer time.AfterFunc(patience, o.giveUp).Stop()
	o.open.Wait()
	o.leave()
}

func (o *outbox) giveUp() {
	o.leave()
	o.mu.Lock()
	left := o.waiting
	o.waiting = nil
	o.mu.Unlock()
	var events []shadowsync.Event
	for _, l := range left {
		events = append(events, l.failed(errLeft))
	}
	if len(left) > 0 {
		_ = left[0].engine.Audit(context.Background(), events...) // they are in the journal at least
	}
}
