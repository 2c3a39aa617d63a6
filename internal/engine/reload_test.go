package engine

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/test/eventually"
	"github.com/shadowsync/shadowsync/shadowsync"
)

var realWrite = []shadowsync.Write{{Name: "admin", Want: shadowsync.Credential{Hash: "$6$new"}}, {Name: "other", Want: shadowsync.Credential{Hash: "$6$new"}}}

func TestReloadFollowsAWrite(t *testing.T) {
	broken := errors.New("broken")
	refused := &shadowsync.RefusedError{Reason: "too long"}
	for name, test := range map[string]struct {
		left    shadowsync.Unwritten
		err     error
		reload  error
		reloads int32
		want    map[string]string
		fails   error
	}{
		"in force":         {reloads: 1, want: map[string]string{}},
		"not written":      {err: broken, fails: broken, want: map[string]string{}},
		"all left alone":   {left: shadowsync.Unwritten{"admin": refused, "other": refused}, want: map[string]string{"admin": "refused: too long", "other": "refused: too long"}},
		"fails":            {reload: broken, reloads: 1, want: map[string]string{"admin": "written; not in force: reload of a.service failed: broken", "other": "written; not in force: reload of a.service failed: broken"}},
		"fails for others": {left: shadowsync.Unwritten{"other": refused}, reload: broken, reloads: 1, want: map[string]string{"admin": "written; not in force: reload of a.service failed: broken", "other": "refused: too long"}},
	} {
		t.Run(name, func(t *testing.T) {
			var reloads atomic.Int32
			r := &reloader{unit: "a.service", wait: time.Minute, pause: time.Second, do: func(_ context.Context, unit string, pause time.Duration) error {
				reloads.Add(1)
				if unit != "a.service" || pause != time.Second {
					t.Errorf("reloads %s, %v after another", unit, pause)
				}
				return test.reload
			}}
			left, err := r.after(t.Context(), realWrite, test.left, "1", test.err)
			if !errors.Is(err, test.fails) || len(left) != len(test.want) || reloads.Load() != test.reloads {
				t.Fatalf("%v, %v after %d reloads", left, err, reloads.Load())
			}
			for name, want := range test.want {
				if left[name].Error() != want {
					t.Errorf("%s: %v", name, left[name])
				}
			}
		})
	}
	var none *reloader
	if left, err := none.after(t.Context(), realWrite, shadowsync.Unwritten{}, "1", nil); err != nil || len(left) > 0 {
		t.Errorf("without a unit: %v, %v", left, err)
	}
}

// TestSlowReload: a reload that takes longer than its caller waits goes on. The retry takes its
// result, and does not begin another one, which would never be waited for either.
func TestSlowReload(t *testing.T) {
	begun, may := make(chan struct{}, 9), make(chan error)
	r := &reloader{unit: "a.service", wait: time.Millisecond, do: func(context.Context, string, time.Duration) error {
		begun <- struct{}{}
		return <-may
	}}
	if err := r.reload(t.Context(), "1", true); !errors.Is(err, errNoAnswer) {
		t.Fatal(err)
	}
	<-begun
	if err := r.reload(t.Context(), "1", false); !errors.Is(err, errNoAnswer) || len(begun) > 0 {
		t.Fatalf("a retry while it runs: %v, %d more", err, len(begun))
	}
	may <- nil
	eventually.Holds(t, "the retry to take the result", func() bool { return r.reload(t.Context(), "1", false) == nil })
	if len(begun) > 0 {
		t.Error("another reload began")
	}
	if err := r.reload(t.Context(), "1", false); !errors.Is(err, errNoAnswer) {
		t.Errorf("a result is taken twice: %v", err)
	}
	<-begun
	may <- errors.New("broken")
	eventually.Holds(t, "the failure to be tried again", func() bool {
		_ = r.reload(t.Context(), "1", false)
		return len(begun) > 0
	})
	<-begun
	may <- nil
}
