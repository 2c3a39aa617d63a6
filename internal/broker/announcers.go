package broker

import (
	"context"
	"sync"
	"time"

	"github.com/shadowsync/shadowsync/internal/detect/watch"
)

// announcedWithin is how long the watch waits for an announcement, which follows the change within a
// few milliseconds.
const announcedWithin = 50 * time.Millisecond

// mostAnnouncers bounds the remembered programs: passwd, chpasswd, login, su, sshd and few more.
const mostAnnouncers = 16

// announcers are the programs that announced the last change that they made. The watch sees such a
// change a moment earlier. If it did not wait, the change would be recorded as noticed, settled, and
// recorded once more when its announcement comes.
type announcers struct {
	mu       sync.Mutex
	programs map[string]bool
	last     watch.File    // the shadow file that the last announcement was about
	inside   int           // announcements in progress
	begun    chan struct{} // closed when the next one begins; nil: nobody waits
}

// begin tells of an announcement. When done is called, what it was about is known.
func (a *announcers) begin() (done func(program string, about watch.File)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.inside++
	if a.begun != nil {
		close(a.begun)
		a.begun = nil
	}
	return a.end
}

func (a *announcers) end(program string, about watch.File) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.inside--
	a.last = about
	if a.programs == nil || len(a.programs) >= mostAnnouncers {
		a.programs = map[string]bool{}
	}
	a.programs[program] = true
}

// some reports whether there may be anything to wait for.
func (a *announcers) some() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.programs) > 0
}

// await waits until an announcement begins, if this program is likely to announce this content of
// the shadow file. A program that then does not is not waited for again.
func (a *announcers) await(ctx context.Context, program string, content watch.File) {
	a.mu.Lock()
	if a.inside > 0 || a.last == content || !a.programs[program] {
		a.mu.Unlock()
		return
	}
	if a.begun == nil {
		a.begun = make(chan struct{})
	}
	begun := a.begun
	a.mu.Unlock()
	timer := time.NewTimer(announcedWithin)
	defer timer.Stop()
	select {
	case <-begun:
	case <-ctx.Done():
	case <-timer.C:
		a.mu.Lock()
		delete(a.programs, program)
		a.mu.Unlock()
	}
}
