package engine

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// TestTeller: everything is sent, in order, however many tell it.
func TestTeller(t *testing.T) {
	var sent []string
	teller := &teller{send: func(e shadowsync.Event) { sent = append(sent, e.Account) }, patience: time.Minute}
	var want []string
	for i := range 100 {
		a, b := fmt.Sprint("a", i), fmt.Sprint("b", i)
		teller.tell(shadowsync.Event{Account: a}, shadowsync.Event{Account: b})
		want = append(want, a, b)
		if i%10 == 0 {
			teller.wait()
		}
	}
	teller.wait()
	if !slices.Equal(sent, want) {
		t.Errorf("sent %v", sent)
	}
}

// TestJournalDrips: one that takes a record now and then is not waited for until it has all.
func TestJournalDrips(t *testing.T) {
	goOn := make(chan struct{})
	defer close(goOn)
	teller := &teller{patience: 50 * time.Millisecond, send: func(shadowsync.Event) {
		select {
		case <-goOn:
		case <-time.After(5 * time.Millisecond):
		}
	}}
	teller.tell(make([]shadowsync.Event, 10_000)...)
	begun := time.Now()
	teller.wait()
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("waited %v", took)
	}
}

// TestJournalHangs: a journal that takes nothing holds up nobody, and is told how much it
// missed when it goes on.
func TestJournalHangs(t *testing.T) {
	goOn, sent := make(chan struct{}), make(chan shadowsync.Event, 10)
	teller := &teller{send: func(e shadowsync.Event) { <-goOn; sent <- e }, patience: 20 * time.Millisecond}
	teller.tell(shadowsync.Event{Account: "first"}, shadowsync.Event{Account: "second"})
	teller.wait() // in vain, and not for ever
	teller.tell(shadowsync.Event{Account: "third"}, shadowsync.Event{Account: "fourth"})
	close(goOn)
	for _, want := range []string{"first", "second"} {
		if e := <-sent; e.Account != want {
			t.Errorf("sent %q, want %q", e.Account, want)
		}
	}
	if e := <-sent; e.Reason != "the journal did not take 2 records in time; the audit has them" {
		t.Errorf("sent %+v", e)
	}
}
