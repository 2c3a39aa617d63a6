package watch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

// scene is a file in a folder, and a watch on it.
type scene struct {
	t      *testing.T
	folder string
	path   string
	events <-chan Event
}

func watchIn(t *testing.T, folder string) *scene {
	t.Helper()
	s := &scene{t: t, folder: folder, path: filepath.Join(folder, "shadow")}
	ctx, stop := context.WithCancel(t.Context())
	events, err := Watch(ctx, s.path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s.events = events
	t.Cleanup(func() {
		stop()
		for range events { // closed at the end; otherwise the test hangs
		}
	})
	s.settle() // the poller first reports the present mounts
	return s
}

func (s *scene) write(name, content string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.folder, name), []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// replace does what shadow-utils does.
func (s *scene) replace(content string) {
	s.t.Helper()
	s.write("shadow+", content)
	if err := os.Rename(s.path+"+", s.path); err != nil {
		s.t.Fatal(err)
	}
}

// settle takes events until none has come for a while.
func (s *scene) settle() (seen []Event) {
	for {
		select {
		case e := <-s.events:
			seen = append(seen, e)
		case <-time.After(200 * time.Millisecond):
			return seen
		}
	}
}

// next returns the next event, or fails the test.
func (s *scene) next(what string) Event {
	s.t.Helper()
	select {
	case e, ok := <-s.events:
		if !ok {
			s.t.Fatalf("%s: the channel is closed", what)
		}
		return e
	case <-time.After(time.Minute):
		s.t.Fatalf("%s: not announced within a minute", what)
	}
	return Event{}
}

// untilContent consumes events like a real consumer, until the file has the wanted content.
func (s *scene) untilContent(want string) {
	s.t.Helper()
	for {
		s.next("content " + want)
		if got, _ := os.ReadFile(s.path); string(got) == want {
			return
		}
	}
}

// untilRescan waits for an event with Rescan.
func (s *scene) untilRescan(what string) {
	s.t.Helper()
	for !s.next(what).Rescan {
	}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func TestChangesAreAnnounced(t *testing.T) {
	s := watchIn(t, t.TempDir())
	open := func(flag int) *os.File {
		f, err := os.OpenFile(s.path, flag, 0o600)
		must(t, err)
		return f
	}
	steps := []struct {
		name string
		do   func()
	}{
		{"created", func() { s.write("shadow", "1") }},
		{"replaced by rename", func() { s.replace("2") }},
		{"written in place", func() { s.write("shadow", "3") }},
		{"appended", func() { f := open(os.O_APPEND | os.O_WRONLY); _, err := f.WriteString("4"); must(t, err, f.Close()) }},
		{"truncated", func() { must(t, os.Truncate(s.path, 0)) }},
		{"mode", func() { must(t, os.Chmod(s.path, 0o640)) }},
		{"linked over", func() {
			s.write("backup", "5")
			must(t, os.Remove(s.path), os.Link(filepath.Join(s.folder, "backup"), s.path))
		}},
		{"renamed away", func() { must(t, os.Rename(s.path, s.path+"-")) }},
		{"renamed back", func() { must(t, os.Rename(s.path+"-", s.path)) }},
		{"exchanged", func() {
			other := filepath.Join(s.folder, "other")
			s.write("other", "6")
			must(t, unix.Renameat2(unix.AT_FDCWD, other, unix.AT_FDCWD, s.path, unix.RENAME_EXCHANGE))
		}},
		{"removed", func() { must(t, os.Remove(s.path)) }},
		{"became a folder", func() { must(t, os.Mkdir(s.path, 0o700)) }},
	}
	for _, step := range steps {
		t.Run(step.name, func(t *testing.T) {
			step.do()
			if e := s.next(step.name); e.Rescan {
				t.Error("announced with Rescan")
			}
			s.settle()
		})
	}
}

func TestOthersDoNotWake(t *testing.T) {
	s := watchIn(t, t.TempDir())
	s.write("shadow", "x")
	s.untilContent("x")
	s.settle()
	for i := range 100 {
		s.write(fmt.Sprintf("shadow.%d", i), "y")
		s.write("shadow+", "y")
		must(t, os.Rename(filepath.Join(s.folder, "shadow+"), filepath.Join(s.folder, "passwd")))
	}
	must(t, os.Mkdir(filepath.Join(s.folder, "sub"), 0o700), os.WriteFile(filepath.Join(s.folder, "sub", "shadow"), nil, 0o600))
	if seen := s.settle(); len(seen) != 0 {
		t.Errorf("woken by others: %v", seen)
	}
}

func TestThousandReplacements(t *testing.T) {
	for round := range 3 {
		s := watchIn(t, t.TempDir())
		last := fmt.Sprintf("round %d, last", round)
		go func() {
			for i := range 1000 {
				s.replace(fmt.Sprint(i))
			}
			s.replace(last)
		}()
		s.untilContent(last)
	}
}

// TestSlowConsumer: nobody reads events while a thousand changes happen. One event remains.
func TestSlowConsumer(t *testing.T) {
	s := watchIn(t, t.TempDir())
	for i := range 1000 {
		s.replace(fmt.Sprint(i))
	}
	time.Sleep(50 * time.Millisecond) // the events pass; the assertion holds at any speed
	s.untilContent("999")
	if seen := s.settle(); len(seen) > 0 && len(s.events) != 0 {
		t.Errorf("left over: %v", seen)
	}
}

// TestErrorsMeanRescan: any error of the reader, above all an overflow, means that everything may
// differ.
func TestErrorsMeanRescan(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "shadow")
	c, err := newChain(path)
	must(t, err)
	w := &watcher{path: path, out: make(chan Event, 1), chain: c, log: slog.New(slog.DiscardHandler)}
	old := c.fs
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go w.run(ctx)
	old.Errors <- fsnotify.ErrEventOverflow
	s := &scene{t: t, folder: folder, path: path, events: w.out}
	s.untilRescan("overflow")
	s.replace("after")
	s.untilContent("after")
}

// TestOverflow makes the kernel's queue really overflow: nobody reads while more events arrive than
// it holds.
func TestOverflow(t *testing.T) {
	limit, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events")
	if err != nil || strings.TrimSpace(string(limit)) != "16384" {
		t.Skip("needs the usual queue length")
	}
	folder := t.TempDir()
	path := filepath.Join(folder, "shadow")
	c, err := newChain(path)
	must(t, err)
	w := &watcher{path: path, out: make(chan Event, 1), chain: c, log: slog.New(slog.DiscardHandler)}
	s := &scene{t: t, folder: folder, path: path, events: w.out}
	for i := range 8000 { // each causes several events
		s.replace(fmt.Sprint(i))
	}
	s.replace("last")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go w.run(ctx) // starts only after the overflow
	s.untilRescan("overflow")
	s.replace("after")
	s.untilContent("after")
}

func TestMergeKeepsRescan(t *testing.T) {
	w := &watcher{out: make(chan Event, 1)}
	w.announce(Event{Rescan: true})
	w.announce(Event{})
	if e := <-w.out; !e.Rescan {
		t.Error("Rescan was lost")
	}
	if len(w.out) != 0 {
		t.Error("two events")
	}
}

func TestPace(t *testing.T) {
	var p pace
	now := time.Now()
	var got []time.Duration
	for range 9 {
		got = append(got, p.next(now))
		now = p.last.Add(time.Millisecond)
	}
	if got[0] != 0 || got[1] != 10*time.Millisecond || got[8] != time.Second {
		t.Errorf("got %v", got)
	}
	if d := p.next(now.Add(11 * time.Second)); d != 0 {
		t.Errorf("after a quiet time: %v", d)
	}
}

// TestIdle: the watch does not wake up while nothing happens. The test runs while few others work,
// and looks for one quiet window: a watch that wakes up by itself has none.
func TestIdle(t *testing.T) {
	if os.Getenv("WATCH_TEST_MOUNTS") == "" {
		inNamespace(t)
		return
	}
	must(t, unix.Mount("tmpfs", "/mnt", "tmpfs", 0, ""))
	mounts := watchMounts(t.Context())
	c, err := newChain("/mnt/shadow")
	must(t, err)
	defer c.close()
	news := 0
	for range 6 {
		news = 0
		for end := time.After(2 * time.Second); end != nil; {
			select {
			case <-mounts:
				news++
			case <-c.fs.Events:
				news++
			case <-end:
				end = nil
			}
		}
		if news == 0 {
			return
		}
	}
	t.Errorf("%d wake-ups in the last two seconds", news)
}

// BenchmarkRenameToEvent measures from just before rename(2) until the consumer has the event.
func BenchmarkRenameToEvent(b *testing.B) {
	folder := b.TempDir()
	path := filepath.Join(folder, "shadow")
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	events, err := Watch(ctx, path, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	var total time.Duration
	for b.Loop() {
		if err := os.WriteFile(path+"+", nil, 0o600); err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		if err := os.Rename(path+"+", path); err != nil {
			b.Fatal(err)
		}
		<-events
		total += time.Since(start)
	}
	b.ReportMetric(float64(total.Nanoseconds())/float64(b.N), "ns/rename→event")
}
