package engine

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// TestTeller: everything is sent, in order, with any number of senders.
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

// TestJournalDrips: if the journal takes only a record now and then, wait does not wait for all.
func TestJournalDrips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		teller := &teller{patience: journalPatience, send: func(shadowsync.Event) { time.Sleep(journalPatience / 2) }}
		teller.tell(make([]shadowsync.Event, 100)...)
		begun := time.Now()
		teller.wait()
		if took := time.Since(begun); took != drainPatience*journalPatience {
			t.Errorf("waited %v", took)
		}
		time.Sleep(100 * journalPatience) // in the end the journal has everything
	})
}

// TestJournalHangs: a journal that takes nothing blocks nobody; when it continues, it gets the
// number of missed records.
func TestJournalHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn, sent := make(chan struct{}), make(chan shadowsync.Event, 10)
		teller := &teller{send: func(e shadowsync.Event) { <-goOn; sent <- e }, patience: journalPatience}
		teller.tell(shadowsync.Event{Account: "first"}, shadowsync.Event{Account: "second"})
		begun := time.Now()
		teller.wait() // it gives up
		if took := time.Since(begun); took != journalPatience {
			t.Errorf("waited %v", took)
		}
		time.Sleep(time.Nanosecond) // longer than the patience
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
	})
}
