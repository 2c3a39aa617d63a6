// Package watch notices that a file was replaced or changed, and which process wrote it.
//
// [Watch] watches the folder, because every tool that edits /etc/shadow replaces the file by
// rename(2), and then it is another file. Its events carry no decision; they only say "something
// may have changed, look". It promises that
//
//   - it always announces the state after the last change, even if it merges several changes into
//     one event;
//   - it finds again a folder that does not exist yet, or was removed, renamed, replaced or mounted
//     over, and then sends an event with Rescan, because changes may have been missed;
//   - it does not wake up while nothing happens.
//
// inotify(7) does not report writes through mmap(2), changes made on another machine of a network
// file system, or changes of a symbolic link's target. The consumer needs a slow timer for those.
//
// [Writers] reports which process closed a file after writing, if the kernel allows it; [Readers]
// reports which one reads.
//
//	watch.go    Watch
//	chain.go    the folders on the way to a file
//	mounts.go   folders that are mounted over
//	writers.go  Writers, Readers
package watch

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Event says that the watched file may have changed. It may be half-written, missing, or unchanged.
type Event struct {
	// Rescan says that changes may have been missed: more than this file may differ.
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

// Watch announces changes of the file at path: created, replaced, written, removed, or its owner,
// mode or attributes changed. It looks up path from the top again whenever one of its folders
// changes; the last element should not be a symbolic link.
//
// The channel holds one event, into which later ones are merged, so a slow consumer blocks nothing.
// It is closed when ctx ends. Every change after Watch has returned is announced. An error means
// that the kernel has no more inotify instances or watches; if that happens later, it is logged and
// tried again.
func Watch(ctx context.Context, path string, log *slog.Logger) (<-chan Event, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("cannot watch %s: %w", path, err)
	}
	// Before the first look at the folders, so that a mount in between is noticed.
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
	name := filepath.Clean(e.Name) // fsnotify reports a name below "/" as "//etc"
	switch {
	case name == w.path:
		w.announce(Event{})
	case w.chain.breaks(name, e.Op):
		w.rebuild(ctx)
	}
}

// announce never blocks, because only this goroutine sends.
func (w *watcher) announce(e Event) {
	select {
	case waiting := <-w.out:
		e.Rescan = e.Rescan || waiting.Rescan
	default:
	}
	w.out <- e
}

// rebuild watches the folders that path now leads through.
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

// pace slows rebuilding down if folders are replaced again and again.
type pace struct {
	last  time.Time
	pause time.Duration
}

// next returns how long to wait at now: 0 after ten quiet seconds, then 10 ms, doubling up to 1 s.
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
