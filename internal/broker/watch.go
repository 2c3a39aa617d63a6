package broker

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/shadowsync/shadowsync/internal/detect/origin"
	"github.com/shadowsync/shadowsync/internal/detect/watch"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// writersKept bounds the remembered writes. usermod alone writes four files, their backups and
// their locks.
const writersKept = 64

// writers remembers which process wrote which content in the shadow file's folder, under any name:
// sed -i writes the new shadow file under a name of its own.
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

// saw remembers a write. A process may be reported more than once, and only at the first time is it
// certainly still alive.
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

// pidsLast is how long a pid certainly belongs to the same process: the kernel gives out all other
// pids before it reuses one.
const pidsLast = time.Second

// lately returns the process that wrote under a pid a moment ago. usermod(8) closes four files
// within milliseconds, and a client may wait for each look at /proc.
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

// wrote returns the process that wrote the present content of the shadow file. Without its cgroup
// the writer is unknown: it may or may not be the application.
func (w *writers) wrote() (origin.Process, bool) {
	_, by, known := w.present()
	return by, known
}

// present returns the present content of the shadow file, and what wrote does.
func (w *writers) present() (watch.File, origin.Process, bool) {
	w.mu.Lock()
	catchUp := w.catchUp
	w.mu.Unlock()
	file, err := watch.FileAt(w.path)
	if err != nil {
		return file, origin.Process{}, false
	}
	if catchUp != nil {
		catchUp()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.last {
		if l.file == file {
			return file, l.by, l.by.Cgroup != "" // no cgroup: the process ended while it was looked at
		}
	}
	return file, origin.Process{}, false
}

func shadowPath(e *engine.Engine) string { return inroot.Shown(e.Root(), "etc/shadow") }

// watch follows the shadow file's folder and tells every keeper about changes.
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
			b.awaitAnnouncement(ctx)
			for _, k := range b.keepers {
				k.Tell(shadowsync.Request{Origin: shadowsync.Origin{SeenBy: shadowsync.SeenByWatch, At: time.Now()}})
			}
			select {
			case b.shadowed <- struct{}{}:
			default: // they will look anyway
			}
		}
	})
	return nil
}

// awaitAnnouncement waits for the announcement of the change that the watch has seen, if one is likely.
func (b *Broker) awaitAnnouncement(ctx context.Context) {
	if !b.announced.some() {
		return
	}
	if content, by, known := b.writers.present(); known {
		b.announced.await(ctx, by.Program(), content)
	}
}

// followWriters starts to watch who writes in the folder; the result restarts the watch after the
// folder was replaced.
func (b *Broker) followWriters(ctx context.Context, folder string) func() {
	var stop context.CancelFunc = func() {}
	start := func() {
		stop()
		var inner context.Context
		inner, stop = context.WithCancel(ctx)
		catchUp, err := watch.Writers(inner, folder, b.writers.saw)
		if err != nil && !errors.Is(err, context.Canceled) {
			b.log.Info("changes made without PAM are audited without the program that made them", "reason", err)
		}
		b.writers.mu.Lock()
		b.writers.catchUp = catchUp
		b.writers.mu.Unlock()
	}
	start()
	return start
}

// witness returns a function that tells the reconciler of a unit's application who wrote what it
// has just read.
func (b *Broker) witness(unit string) func() (shadowsync.Origin, shadowsync.Writer) {
	return func() (shadowsync.Origin, shadowsync.Writer) {
		p, known := b.writers.wrote()
		e := b.engine.Load()
		_, manages := e.Config.Application(p.Unit)
		switch {
		case !known:
			return shadowsync.Origin{}, shadowsync.WriterUnknown
		case p.Unit == unit, manages && p.Unit != "":
			// Also the unit of another application, from which an account was moved: it still
			// writes its old value.
			return e.OriginOf(p, shadowsync.SeenByWatch), shadowsync.WriterApplication
		}
		by := e.OriginOf(p, shadowsync.SeenByWatch)
		if errand := b.errands.Of(p.Unit); errand != nil {
			by = errand.Origin()
			by.SeenBy = shadowsync.SeenByWatch // the announcement follows
		}
		return by, shadowsync.WriterOther
	}
}
