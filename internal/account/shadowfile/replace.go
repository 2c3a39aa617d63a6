package shadowfile

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/files/durable"
)

// tempSuffix makes the temporary's name in the etc folder of the file's. shadow-utils uses the same, so that its
// tools overwrite what a killed process of shadowsync left.
const tempSuffix = "+"

// replace replaces old by a file of these lines. After an error the old file stands and the
// temporary is gone; only an error that the folder could not be synced comes after the rename.
func (l *lock) replace(old *os.File, lines []string) error {
	temp, err := l.createTemp()
	if err != nil {
		return err
	}
	err = temp.Settle(fill(temp, old, lines))
	if err == nil {
		err = temp.Place(l.name, 0)
	}
	if err != nil {
		_ = temp.Discard()
		return failed("replace", old.Name(), err)
	}
	if err := durable.SyncFolder(int(l.tree.etc.Fd())); err != nil {
		return fmt.Errorf("cannot make the replacement of %s durable: %w", old.Name(), err)
	}
	return nil
}

// Rehearse replaces the file as Write does, with the same bytes and attributes and under the same
// locks. Only that proves that a password can be written: a mount point or an immutable file looks
// like any other.
func (f *File) Rehearse(ctx context.Context) (err error) {
	t, err := openTree(f.root)
	if err != nil {
		return err
	}
	defer t.close()
	l, err := t.lock(ctx, shadowName)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.release()) }()
	old, content, err := t.readPlain(shadowName)
	if err != nil {
		return err
	}
	defer old.Close()
	st, err := stat(old)
	if err != nil {
		return err
	}
	if err := l.replace(old, []string{content}); err != nil {
		return err
	}
	times := []unix.Timespec{st.Atim, st.Mtim}
	return unix.UtimesNanoAt(int(t.etc.Fd()), shadowName, times, unix.AT_SYMLINK_NOFOLLOW)
}

// createTemp creates the temporary. While the lock is held, an existing one is a killed writer's.
func (l *lock) createTemp() (*durable.New, error) {
	etc, name := int(l.tree.etc.Fd()), l.name+tempSuffix
	path := l.tree.path(name)
	if err := unix.Unlinkat(etc, name, 0); err != nil && err != unix.ENOENT {
		return nil, failed("remove stale file", path, err)
	}
	temp, err := durable.Create(etc, name)
	if err != nil {
		return nil, failed("create", path, err)
	}
	return temp, nil
}

// fill gives temp old's attributes and these lines. The attributes come first, so that no byte ever
// has wider access than in old.
func fill(temp *durable.New, old *os.File, lines []string) error {
	keep := func(name string) bool { return !durable.OfContent(name) }
	if err := durable.KeepAttributes(temp.File, old, keep); err != nil {
		return err
	}
	w := bufio.NewWriterSize(temp, 64<<10)
	for _, line := range lines {
		if _, err := w.WriteString(line); err != nil {
			return err
		}
	}
	return w.Flush()
}
