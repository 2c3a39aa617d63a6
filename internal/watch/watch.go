// Package watch notices that a file was replaced or changed, and who wrote it.
//
// [Watch] watches the folder, for a file that is replaced by rename(2), as
// every tool that edits /etc/shadow does, is another file afterwards. Its events
// carry no decision: "something may have changed, look". It promises that
//
//   - the state after the last change is always announced, however many changes
//     were announced as one;
//   - a folder that does not exist yet, is removed, renamed, replaced or mounted over is
//     found again, and that is announced with Rescan, for changes may have passed unseen;
//   - nobody wakes up while nothing happens.
//
// What inotify(7) cannot see stays unseen: writes through mmap(2), changes made on another
// machine of a network file system, the target of a symbolic link. A slow timer of the
// consumer's covers those.
//
// [Writers] tells which process closed a file after writing, where the kernel lets it.
package watch

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Event says that the watched file may have changed. It may be in the middle of being
// written, be gone, or be as it was.
type Event struct {
	// Rescan says that changes may have passed unseen: more than this file may differ.
	Rescan bool
}

// watcher is the state of one Watch.
type watcher struct {
	path   string
	out    chan Event
	chain  *chain
	mounts <-chan struct{}
	log    *slog.Logger
	pace   pace
}

// Watch announces changes of the file at path: created, replaced, written,
// removed, or its owner, mode or attributes changed. Path is looked up from the
// top again whenever one of its folders changes; its last element should not be a
// symbolic link.
//
// The channel holds one event, in which later ones merge, so that nobody waits for a slow consumer; it
// is closed when ctx ends. A change made after Watch returned is announced. An error means that
// the kernel has no more inotify instances or watches; later on, that is logged and tried again.
func Watch(ctx context.Context, path string, log *slog.Logger) (<-chan Event, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("cannot watch %s: %w", path, err)
	}
	// Before the first look at the folders, or a mount in between is missed.
	mounts := watchMounts(ctx)
	chain, err := newChain(path)
	if err != nil {
		return nil, fmt.Errorf("cannot watch %s: %w", path, err)
	}
	w := &watcher{path: path, out: make(chan Event, 1), chain: chain, mounts: mounts, log: log}
	go w.run(ctx)
	return w.out, nil
}

func (w *watcher) run(ctx context.Context) {
	defer close(w.out)
	defer func() { w.chain.close() }()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-w.mounts:
			if w.chain.moved() {
				w.rebuild(ctx)
			}
		case <-w.chain.fs.Errors: //nolint:errcheck // an overflow or a lost watch: the rescan that follows covers it
			// The queue overflowed, or reading it failed: anything may have happened.
			w.rebuild(ctx)
		case e := <-w.chain.fs.Events:
			w.handle(ctx, e)
		}
	}
}

func (w *watcher) handle(ctx context.Context, e fsnotify.Event) {
	name := filepath.Clean(e.Name) // what is below "/" comes as "//etc"
	switch {
	case name == w.path:
		w.announce(Event{})
	case w.chain.breaks(name, e.Op):
		w.rebuild(ctx)
	}
}

// announce never blocks: this is the only goroutine that sends.
func (w *watcher) announce(e Event) {
	select {
	case waiting := <-w.out:
		e.Rescan = e.Rescan || waiting.Rescan
	default:
	}
	w.out <- e
}

// rebuild watches the folders that path leads through now.
func (w *watcher) rebuild(ctx context.Context) {
	w.chain.close()
	sleep(ctx, w.pace.next(time.Now()))
	const longest = time.Minute
	for pause := 100 * time.Millisecond; ctx.Err() == nil; pause = min(2*pause, longest) {
		chain, err := newChain(w.path)
		if err == nil {
			w.chain = chain
			w.announce(Event{Rescan: true})
			return
		}
		w.log.Warn("cannot watch for now", "path", w.path, "error", err, "pause", pause)
		sleep(ctx, pause)
	}
}

// pace slows rebuilding down while somebody keeps replacing folders.
type pace struct {
	last  time.Time
	pause time.Duration
}

// next gives how long to wait at now: not at all after ten quiet seconds, then 10 ms, doubling to 1 s.
func (p *pace) next(now time.Time) time.Duration {
	if now.Sub(p.last) > 10*time.Second {
		p.pause = 0
	} else {
		p.pause = min(max(2*p.pause, 10*time.Millisecond), time.Second)
	}
	p.last = now.Add(p.pause)
	return p.pause
}

// sleep waits for d, or less if ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
