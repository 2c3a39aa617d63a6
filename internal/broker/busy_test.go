package broker

import "testing"

func TestBusy(t *testing.T) {
	var b busy
	for _, step := range []struct {
		account string
		want    bool
	}{{"admin", true}, {"admin", false}, {"user222", true}, {"third", false}} {
		if got := b.begin(step.account, 2); got != step.want {
			t.Errorf("begin(%s) = %v", step.account, got)
		}
	}
	b.end("admin")
	if !b.begin("third", 2) || b.begin("admin", 2) {
		t.Error("what was given back is not taken by one, or by more than one")
	}
}
