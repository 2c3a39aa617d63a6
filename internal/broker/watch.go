package broker

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/origin"
	"github.com/shadowsync/shadowsync/internal/watch"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// writersKept bounds the memory for who wrote. usermod alone writes four files,
// their backups and their locks.
const writersKept = 64

// writers remembers who wrote which content in the shadow file's folder: sed -i
// writes what becomes the shadow file under a name of its own.
type writers struct {
	path string

	mu      sync.Mutex
	last    []written // the latest first
	catchUp func()
}

type written struct {
	file watch.File
	by   origin.Process
	at   time.Time
}

// saw puts a write on record. A process is told of more than once, and only the
// first time it surely still lives.
func (w *writers) saw(write watch.Write) {
	by, known := w.lately(write.PID)
	if !known {
		by = origin.FromPID(write.PID)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.IndexFunc(w.last, func(l written) bool {
		return l.by.PID == write.PID && l.file.Ino == write.File.Ino && l.file.Dev == write.File.Dev
	})
	if i >= 0 {
		if by.Cgroup == "" {
			by = w.last[i].by
		}
		w.last = slices.Delete(w.last, i, i+1)
	}
	w.last = slices.Insert(w.last, 0, written{write.File, by, time.Now()})
	w.last = w.last[:min(len(w.last), writersKept)]
}

// pidsLast is how long a pid surely is the same process's: the kernel gives all
// others out before it gives one again.
const pidsLast = time.Second

// lately tells who a pid was when it wrote a moment ago: usermod(8) closes four
// files within milliseconds, and whoever waits for the answer waits for each look at /proc.
func (w *writers) lately(pid int) (origin.Process, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.last {
		if l.by.PID == pid && l.by.Cgroup != "" && time.Since(l.at) < pidsLast {
			return l.by, true
		}
	}
	return origin.Process{}, false
}

// wrote tells who wrote the content that the shadow file has now. Without its
// cgroup a process may be the application's own as well as anybody's.
func (w *writers) wrote() (origin.Process, bool) {
	w.mu.Lock()
	catchUp := w.catchUp
	w.mu.Unlock()
	file, err := watch.FileAt(w.path)
	if err != nil {
		return origin.Process{}, false
	}
	if catchUp != nil {
		catchUp()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.last {
		if l.file == file {
			return l.by, l.by.Cgroup != "" // else it ended while it was looked at
		}
	}
	return origin.Process{}, false
}

func shadowPath(e *engine.Engine) string { return filepath.Join(e.Root(), "etc", "shadow") }

// watch follows the shadow file's folder and tells every keeper.
func (b *Broker) watch(ctx context.Context, wg *sync.WaitGroup) error {
	path := b.writers.path
	events, err := watch.Watch(ctx, path, b.log)
	if err != nil {
		return err
	}
	follow := b.followWriters(ctx, filepath.Dir(path))
	wg.Go(func() {
		for e := range events {
			if e.Rescan {
				follow()
			}
			for _, k := range b.keepers {
				k.tell(shadowsync.Request{Origin: shadowsync.Origin{SeenBy: shadowsync.SeenByWatch, At: time.Now()}})
			}
		}
	})
	return nil
}

// followWriters starts the watch on who writes; the result starts it anew, for a
// folder that was replaced.
func (b *Broker) followWriters(ctx context.Context, folder string) func() {
	var stop context.CancelFunc = func() {}
	start := func() {
		stop()
		var inner context.Context
		inner, stop = context.WithCancel(ctx)
		catchUp, err := watch.Writers(inner, folder, b.writers.saw)
		if err != nil && !errors.Is(err, context.Canceled) {
			b.log.Info("changes past PAM are audited without their program", "reason", err)
		}
		b.writers.mu.Lock()
		b.writers.catchUp = catchUp
		b.writers.mu.Unlock()
	}
	start()
	return start
}

// witness tells the reconciler of a unit's application who wrote what it has just read.
func (b *Broker) witness(unit string) func() (shadowsync.Origin, shadowsync.Writer) {
	return func() (shadowsync.Origin, shadowsync.Writer) {
		p, known := b.writers.wrote()
		switch {
		case !known:
			return shadowsync.Origin{}, shadowsync.WriterUnknown
		case p.Unit == unit:
			return b.engine.Load().OriginOf(p, shadowsync.SeenByWatch), shadowsync.WriterApplication
		}
		by := b.engine.Load().OriginOf(p, shadowsync.SeenByWatch)
		if errand := b.errands.of(p.Unit); errand != nil {
			by = errand.origin()
			by.SeenBy = shadowsync.SeenByWatch // the announcement follows
		}
		return by, shadowsync.WriterOther
	}
}
