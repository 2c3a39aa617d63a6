package broker

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/shadowfile"
)

// people remembers who is in passwd(5) and group(5) for as long as the files are the
// same: every question of an operator needs them, each key press of completion too.
type people struct {
	mu    sync.Mutex
	files [2]unix.Stat_t
	known map[string]shadowfile.Person // read by many, written by none
}

// restless is how long after a change a file is not trusted to be the one that was
// read: its times have the grain of the kernel's clock tick.
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

// stamps is what changes with the files, taken before they are read, and whether both have been left alone for a while.
func stamps(root string) (files [2]unix.Stat_t, settled bool, err error) {
	settled = true
	for i, name := range []string{"etc/passwd", "etc/group"} {
		if err := unix.Stat(filepath.Join(root, name), &files[i]); err != nil {
			return files, false, fmt.Errorf("cannot look at %s: %w", name, err)
		}
		files[i].Atim = unix.Timespec{} // our own reading
		settled = settled && time.Since(time.Unix(files[i].Ctim.Unix())) > restless
	}
	return files, settled, nil
}
