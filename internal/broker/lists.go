package broker

import (
	"context"
	"errors"
	"io/fs"
	"sync"
	"time"

	"github.com/shadowsync/shadowsync/internal/detect/watch"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/files/inroot"
)

// list writes the list of managed accounts.
func (b *Broker) list(ctx context.Context) error {
	b.listing.Lock()
	defer b.listing.Unlock()
	e := b.engine.Load()
	if err := engine.Provide(e.Root(), e.Config); err != nil {
		b.log.Warn("the PAM module cannot leave notes while the broker does not answer", "error", err)
	}
	return engine.WriteManaged(ctx, e.Root(), e.Config, e.State)
}

// keepEnrolled does that at the start, and looks for factors that the state has lost.
func (b *Broker) keepEnrolled(ctx context.Context) {
	e := b.engine.Load()
	if err := e.KeepEnrolled(ctx); err != nil {
		b.log.Error("while the broker does not answer, the PAM module cannot tell who needs a code", "error", err)
	}
	if err := e.KeepRequired(time.Now()); err != nil {
		b.log.Error("the PAM module cannot tell whether second factors are required", "error", err)
	}
}

// compared is what the list of accounts that must show a code was last compared with: itself, and passwd(5).
type compared struct {
	mu    sync.Mutex
	files [2]watch.File
}

// listEnrolled writes the list of accounts that must show a code, if it differs. Every change of a factor writes
// the list, so one that was compared with the state stays right until it is another file.
func (b *Broker) listEnrolled(ctx context.Context) {
	e := b.engine.Load()
	b.codes.listed.mu.Lock()
	defer b.codes.listed.mu.Unlock()
	if files, err := listFiles(e.Root()); err == nil && files == b.codes.listed.files {
		return
	}
	err := engine.WriteEnrolled(ctx, e.Root(), e.State)
	if err == nil {
		b.codes.listed.files, err = listFiles(e.Root())
	}
	if err != nil {
		b.log.Error("while the broker does not answer, the PAM module cannot tell who needs a code", "error", err)
	}
}

func listFiles(root string) (files [2]watch.File, err error) {
	for i, name := range []string{engine.EnrolledList, "etc/passwd"} {
		if files[i], err = watch.FileAt(inroot.Shown(root, name)); err != nil {
			return files, err
		}
	}
	return files, nil
}

// breakSilence removes the mark that keeps the PAM module silent for half a minute after a broker
// did not answer, because this broker answers. If it hangs again, that costs one more passwd two
// seconds.
func (b *Broker) breakSilence() {
	err := inroot.Remove(b.engine.Load().Root(), engine.RunDir+"/pam-timeout")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		b.log.Warn("the PAM module stays silent for a while", "error", err)
	}
}
