package limit

import (
	"testing"
	"time"
)

func TestBudget(t *testing.T) {
	b := Budget{Most: 3, Every: time.Second}
	now := time.Now()
	for i := range 3 {
		if wait := b.Spend("one", now); wait != 0 {
			t.Fatalf("the %d. of three at once waits %v", i+1, wait)
		}
	}
	if wait := b.Spend("one", now); wait != time.Second {
		t.Errorf("the fourth waits %v", wait)
	}
	if wait := b.Spend("other", now); wait != 0 {
		t.Errorf("another waits %v", wait)
	}
	if wait := b.Spend("one", now.Add(time.Second)); wait != 0 {
		t.Errorf("after a second it waits %v", wait)
	}
	if wait := b.Spend("one", now.Add(time.Second)); wait != time.Second {
		t.Errorf("it got more than one for a second: the next waits %v", wait)
	}
	b.Refund("one")
	b.Refund("nobody")
	if wait := b.Spend("one", now.Add(time.Second)); wait != 0 {
		t.Errorf("what was given back waits %v", wait)
	}
	b.Spend("other", now.Add(time.Minute))
	if _, kept := b.spent["one"]; kept {
		t.Error("what has come back is still kept")
	}
}
