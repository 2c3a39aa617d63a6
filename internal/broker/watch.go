package broker

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/shadowsync/shadowsync/internal/origin"
	"github.com/shadowsync/shadowsync/internal/watch"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// writerWindow is how long after a file was closed a rename may still be that
// writer's: shadow-utils renames right after it closes, by then fsynced.
const writerWindow = 2 * time.Second

// writers remembers who wrote the shadow file, or the file that became it, last.
// A process is told of more than once, and only the first time it surely still lives.
type writers struct {
	mu   sync.Mutex
	last origin.Process
	at   time.Time
}

// shadowNames are the names under which passwd(1), shadow-utils, pam_unix and
// systemd write a new shadow file before they rename it.
func shadowNames(name string) bool {
	return name == "shadow" || name == "nshadow" || strings.HasPrefix(name, "shadow") && !strings.HasSuffix(name, ".lock") ||
		strings.HasPrefix(name, ".#shadow")
}

func (w *writers) saw(pid int, _ string) {
	p := origin.FromPID(pid)
	w.mu.Lock()
	defer w.mu.Unlock()
	if p.StartTicks == 0 && w.last.PID == pid && time.Since(w.at) < writerWindow {
		p = w.last
	}
	w.last, w.at = p, time.Now()
}

func (w *writers) recent() (origin.Process, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	known := time.Since(w.at) < writerWindow && w.last.StartTicks != 0
	return w.last, known
}

// watch follows the shadow file's folder and tells every keeper.
func (b *Broker) watch(ctx context.Context, wg *sync.WaitGroup) error {
	path := filepath.Join(b.engine.Root(), "etc", "shadow")
	events, err := watch.Watch(ctx, path, b.log)
	if err != nil {
		return err
	}
	w := &writers{}
	follow := b.followWriters(ctx, filepath.Dir(path), w)
	wg.Go(func() {
		for e := range events {
			if e.Rescan {
				follow()
			}
			for _, k := range b.keepers {
				k.tell(b.noticed(w, k.application.Unit))
			}
		}
	})
	return nil
}

// followWriters starts the watch on who writes; the result starts it anew, for a
// folder that was replaced.
func (b *Broker) followWriters(ctx context.Context, folder string, w *writers) func() {
	var stop context.CancelFunc = func() {}
	start := func() {
		stop()
		var inner context.Context
		inner, stop = context.WithCancel(ctx)
		err := watch.Writers(inner, folder, shadowNames, w.saw)
		if err != nil && !errors.Is(err, context.Canceled) {
			b.log.Info("changes past PAM are audited without their program", "reason", err)
		}
	}
	start()
	return start
}

// noticed is a difference that nobody announced, with what the kernel told about its writer.
func (b *Broker) noticed(w *writers, unit string) shadowsync.Request {
	req := shadowsync.Request{Origin: shadowsync.Origin{SeenBy: shadowsync.SeenByWatch, At: time.Now()}}
	p, known := w.recent()
	if !known {
		return req
	}
	req.Origin = b.engine.OriginOf(p, shadowsync.SeenByWatch)
	req.Evidence.Writer = shadowsync.WriterOther
	if p.Unit == unit {
		req.Evidence.Writer = shadowsync.WriterApplication
	}
	return req
}
