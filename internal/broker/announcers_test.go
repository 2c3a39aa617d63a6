package broker

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shadowsync/shadowsync/internal/detect/watch"
)

// TestAnnouncers: the watch waits for an announcement that is likely to come, not for another, and
// not twice in vain.
func TestAnnouncers(t *testing.T) {
	former, content := watch.File{Ino: 1}, watch.File{Ino: 2}
	for name, c := range map[string]struct {
		announced string // the program that announced the former content
		comes     time.Duration
		lasts     time.Duration // of the announcement
		content   watch.File
		want      time.Duration
	}{
		"a program that never announced":    {"chpasswd", 10 * time.Millisecond, 0, content, 0},
		"its announcement comes":            {"passwd", 10 * time.Millisecond, 0, content, 10 * time.Millisecond},
		"it begins, and takes its time":     {"passwd", 10 * time.Millisecond, time.Second, content, 10 * time.Millisecond},
		"it is in progress":                 {"passwd", 0, time.Second, content, 0},
		"it is over":                        {"passwd", time.Hour, 0, former, 0},
		"it does not come":                  {"passwd", time.Hour, 0, content, announcedWithin},
		"nobody announced anything, as yet": {"", 10 * time.Millisecond, 0, content, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var a announcers
				if c.announced != "" {
					a.begin()(c.announced, former)
				}
				if a.some() != (c.announced != "") {
					t.Errorf("some: %v", a.some())
				}
				announce := func() {
					done := a.begin()
					time.AfterFunc(c.lasts, func() { done("passwd", content) })
				}
				if c.comes == 0 {
					announce()
				} else {
					defer time.AfterFunc(c.comes, announce).Stop()
				}
				begun := time.Now()
				a.await(t.Context(), "passwd", c.content)
				if took := time.Since(begun); took != c.want {
					t.Errorf("waited %v, want %v", took, c.want)
				}
				synctest.Wait()
				if c.comes != time.Hour || c.content == former {
					return
				}
				a.await(t.Context(), "passwd", content)
				if took := time.Since(begun); took != c.want {
					t.Errorf("waited in vain once more: %v", took-c.want)
				}
			})
		})
	}
	t.Run("the broker ends", func(t *testing.T) {
		var a announcers
		a.begin()("passwd", former)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		a.await(ctx, "passwd", content)
		if !a.some() {
			t.Error("the program is forgotten")
		}
	})
}
