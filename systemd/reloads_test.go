package systemd

import (
	"context"
	"errors"
	"testing"
	"time"
)

// TestReloadsAreShared: what is written while a reload runs needs one more, however many ask for it.
func TestReloadsAreShared(t *testing.T) {
	begun, may := make(chan struct{}), make(chan error)
	var reloads Reloads
	join := func() *Reload {
		return reloads.Join(time.Minute, func(context.Context) error {
			begun <- struct{}{}
			return <-may
		})
	}
	first := join()
	<-begun
	second, third := join(), join()
	if first == second || second != third {
		t.Errorf("%p, %p and %p", first, second, third)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if over, _ := first.Wait(gone); over || first.Failed() {
		t.Error("it is over before its end")
	}
	may <- nil
	if over, err := first.Wait(t.Context()); !over || err != nil || first.Failed() {
		t.Errorf("the first: %v, %v", over, err)
	}
	<-begun
	may <- errors.New("broken")
	if over, err := second.Wait(t.Context()); !over || err == nil || !second.Failed() {
		t.Errorf("the second: %v, %v", over, err)
	}
}
