// Package idle returns memory to the system when a process has done nothing for a moment. The
// broker and the store workers wait nearly all the time. Without this, Go would keep the heap of
// their last work for minutes, and the kernel would keep every page of the program that ever ran.
//
//	idle.go     Tidier
//	program.go  the pages of the program itself
package idle

import (
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

// after is how long a process must be idle before memory is returned.
const after = 2 * time.Second

// Tidier returns memory after work. The zero value is ready to use.
type Tidier struct {
	mu    sync.Mutex
	timer *time.Timer
}

// Worked must be called after each piece of work.
func (t *Tidier) Worked() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.timer == nil {
		t.timer = time.AfterFunc(after, giveBack)
		return
	}
	t.timer.Reset(after)
}

// Stop cancels a pending return of memory.
func (t *Tidier) Stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.timer != nil {
		t.timer.Stop()
	}
}

// giveBack collects twice: each collection halves oversized stacks.
func giveBack() {
	runtime.GC()
	debug.FreeOSMemory()
	releaseProgram()
}
