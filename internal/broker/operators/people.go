package operators

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/shadowsync/shadowsync/internal/account/shadowfile"
	"github.com/shadowsync/shadowsync/internal/files/inroot"
)

// people caches passwd(5) and group(5) until the files change: every request of an operator needs
// them, even each key press of completion.
type people struct {
	mu    sync.Mutex
	files [2]syscall.Stat_t
	known map[string]shadowfile.Person // shared by readers; never modified

	places sync.Mutex // guards uids and at; separate, so that no connection waits while the files are read
	uids   map[int]bool
	at     time.Time // of the last look
}

// Strangers is the common place, and the common record, of all uids that passwd(5) does not know. A
// user with subordinate uids (subuid(5)) has many thousands of them.
const Strangers = -1

// place says which connections a uid's are counted with. It is called for each connection, so it
// looks for new accounts only once in a while.
func (p *people) place(ctx context.Context, root string, uid int) int {
	p.places.Lock()
	known := p.uids[uid]
	due := !known && time.Since(p.at) > restless
	if due {
		p.at = time.Now()
	}
	p.places.Unlock()
	if due {
		known = p.look(ctx, root)[uid]
	}
	if known || uid == 0 {
		return uid
	}
	return Strangers
}

// look returns the present uids, or the former ones if they cannot be read.
func (p *people) look(ctx context.Context, root string) map[int]bool {
	all, err := p.read(ctx, root)
	uids := make(map[int]bool, len(all))
	for _, person := range all {
		uids[person.UID] = true
	}
	p.places.Lock()
	defer p.places.Unlock()
	if err == nil {
		p.uids = uids
	}
	return p.uids
}

// restless is how long after a change a file may still change without new times: file times have
// the granularity of the kernel's clock tick.
const restless = time.Second

func (p *people) read(ctx context.Context, root string) (map[string]shadowfile.Person, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, settled, err := stamps(root)
	if err == nil && p.known != nil && now == p.files {
		return p.known, nil
	}
	known, readErr := shadowfile.People(ctx, root)
	if readErr != nil {
		return nil, readErr
	}
	p.known = nil
	if err == nil && settled {
		p.files, p.known = now, known
	}
	return known, nil
}

// stamps returns what changes with the files, and whether both files are older than restless. Call
// it before reading them.
func stamps(root string) (files [2]syscall.Stat_t, settled bool, err error) {
	settled = true
	for i, name := range []string{"etc/passwd", "etc/group"} {
		info, err := inroot.Stat(root, name)
		if err != nil {
			return files, false, fmt.Errorf("cannot look at %s: %w", name, err)
		}
		files[i] = *info.Sys().(*syscall.Stat_t)
		files[i].Atim = syscall.Timespec{} // our own reading changes it
		settled = settled && time.Since(time.Unix(files[i].Ctim.Unix())) > restless
	}
	return files, settled, nil
}
