package shadowfile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// File is the shadow file beneath a root directory. It holds nothing open between calls, and
// several goroutines may use it.
type File struct {
	root string
}

var _ shadowsync.Accounts = (*File)(nil)

// Open returns the shadow file of the system mounted at root; empty means "/". It does not open
// anything yet.
func Open(root string) *File { return &File{root: rootPath(root)} }

func rootPath(root string) string {
	if root == "" {
		return "/"
	}
	return root
}

// Revision is the SHA-256 of the file, in hexadecimal.
func (f *File) Revision(ctx context.Context) (string, error) {
	digest := sha256.New()
	err := f.withShadow(ctx, func(_ *tree, file *os.File) error {
		before, err := stat(file)
		if err != nil {
			return err
		}
		return copyStable(digest, file, before)
	})
	if err != nil {
		return "", err
	}
	return hex.EncodeToString(digest.Sum(nil)), nil
}

// withTree runs do on the system that is mounted at the root now.
func (f *File) withTree(ctx context.Context, do func(*tree) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t, err := openTree(f.root)
	if err != nil {
		return err
	}
	defer t.close()
	return do(t)
}

// withShadow runs do on the shadow file, open for reading.
func (f *File) withShadow(ctx context.Context, do func(*tree, *os.File) error) error {
	return f.withTree(ctx, func(t *tree) error {
		file, err := t.openPlain(shadowName)
		if err != nil {
			return err
		}
		defer file.Close()
		return do(t, file)
	})
}

// Read returns those of the named accounts that exist; nil names: all. An account exists if
// passwd(5) has it and says that its password is in shadow(5), and shadow(5) has it. So an account
// whose hash is in passwd(5), or in tcb's own files, is not returned.
func (f *File) Read(ctx context.Context, names []string) (snapshot shadowsync.OSSnapshot, err error) {
	err = f.withShadow(ctx, func(t *tree, file *os.File) error {
		known, err := readUsers(t, pick(names))
		if err != nil {
			return err
		}
		digest, c := sha256.New(), newCollector(known)
		if err := eachLine(file, c.take, digest); err != nil {
			return err
		}
		snapshot = shadowsync.OSSnapshot{Revision: hex.EncodeToString(digest.Sum(nil)), Accounts: c.found}
		return nil
	})
	return snapshot, err
}

// Fields returns the password fields, lock marks included, of those of the named accounts that Read
// would return.
func (f *File) Fields(ctx context.Context, names []string) (map[string]string, error) {
	fields := make(map[string]string, len(names))
	err := f.withShadow(ctx, func(t *tree, file *os.File) error {
		known, err := readUsers(t, pick(names))
		if err != nil {
			return err
		}
		m := newMatcher(known)
		return eachLine(file, func(raw []byte) {
			if !m.mayMatch(raw) {
				return
			}
			if _, e, ok := m.match(string(raw)); ok {
				fields[e.name] = e.password
			}
		})
	})
	return fields, err
}

// UIDs returns the uids of those of the named accounts that passwd(5) has with their password in
// shadow(5). It does not read shadow(5), so it does not know whether that has a line for them.
func (f *File) UIDs(ctx context.Context, names []string) (map[string]int, error) {
	uids := make(map[string]int, len(names))
	err := f.withTree(ctx, func(t *tree) error {
		known, err := readUsers(t, pick(names))
		if err != nil {
			return err
		}
		for _, u := range known.list {
			if u.shadowed {
				uids[u.name] = int(u.uid)
			}
		}
		return nil
	})
	return uids, err
}

// collector collects the accounts that have a line.
type collector struct {
	*matcher
	found map[string]shadowsync.Account
}

func newCollector(known *users) collector {
	return collector{newMatcher(known), make(map[string]shadowsync.Account, len(known.list))}
}

func (c collector) take(raw []byte) {
	if !c.mayMatch(raw) {
		return
	}
	if u, e, ok := c.match(string(raw)); ok {
		c.found[e.name] = shadowsync.Account{Name: e.name, UID: int(u.uid), Credential: e.credential()}
	}
}

// Write replaces the accounts' lines in one replacement of the file, under the locks. It leaves
// alone and returns in left: an account that does not exist, with ErrNoAccount; one that differs
// from Expect in any field, with ErrChanged; one whose new value cannot be a line of shadow(5),
// with the reason. It waits for the locks until ctx ends; the error then wraps
// shadowsync.ErrUnavailable and names the holder.
//
// After an error the file is as it was, unless the error says that the replacement could not be
// made durable or that a lock could not be released.
func (f *File) Write(ctx context.Context, writes []shadowsync.Write) (left shadowsync.Unwritten, err error) {
	writes, refused := sound(writes)
	if len(writes) == 0 {
		return refused, nil
	}
	t, err := openTree(f.root)
	if err != nil {
		return nil, err
	}
	defer t.close()
	l, err := t.lock(ctx, shadowName)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.release()) }()
	left, err = f.write(l, writes)
	if err == nil && refused != nil {
		maps.Copy(refused, left)
		left = refused
	}
	return left, err
}

// sound returns the writes whose new values can be lines of shadow(5), and why the others cannot:
// one account's bad value must not block the writes of others.
func sound(writes []shadowsync.Write) (good []shadowsync.Write, refused shadowsync.Unwritten) {
	for i, w := range writes {
		err := check(w)
		switch {
		case err != nil && refused == nil:
			good, refused = slices.Clone(writes[:i]), shadowsync.Unwritten{w.Name: err}
		case err != nil:
			refused[w.Name] = err
		case refused != nil:
			good = append(good, w)
		}
	}
	if refused == nil {
		return writes, nil
	}
	return good, refused
}

// write does the work of Write; l proves that the file is locked.
func (f *File) write(l *lock, writes []shadowsync.Write) (shadowsync.Unwritten, error) {
	old, content, err := l.tree.readPlain(shadowName)
	if err != nil {
		return nil, err
	}
	defer old.Close()
	names := make([]string, len(writes))
	for i, w := range writes {
		names[i] = w.Name
	}
	known, err := readUsers(l.tree, pick(names))
	if err != nil {
		return nil, err
	}
	lines := slices.AppendSeq(make([]string, 0, strings.Count(content, "\n")+1), strings.Lines(content))
	left, moved := edit(lines, known, writes)
	if !moved {
		return left, nil
	}
	return left, l.replace(old, lines)
}

// edit puts the writes into the lines, except for those that it returns in left, and reports
// whether any line changed.
func edit(lines []string, known *users, writes []shadowsync.Write) (left shadowsync.Unwritten, moved bool) {
	numbers := make(map[string]int, len(writes))
	m := newMatcher(known)
	for number, raw := range lines {
		if _, e, ok := m.match(raw); ok {
			numbers[e.name] = number
		}
	}
	left = shadowsync.Unwritten{}
	for _, w := range writes {
		number, ok := numbers[w.Name]
		if !ok {
			left[w.Name] = noAccount(known, w.Name)
			continue
		}
		e, _ := parseEntry(readLine(lines[number]))
		if e.credential() != w.Expect {
			left[w.Name] = shadowsync.ErrChanged
			continue
		}
		changed, err := e.rewrite(lines[number], w.Want)
		if err != nil {
			left[w.Name] = err
			continue
		}
		moved = moved || changed != lines[number]
		lines[number] = changed
	}
	return left, moved
}

// noAccount returns which of the conditions of Read an account fails.
func noAccount(known *users, name string) error {
	i := known.find(name)
	switch {
	case i < 0:
		return fmt.Errorf("%w in passwd(5)", shadowsync.ErrNoAccount)
	case !known.list[i].shadowed:
		return fmt.Errorf("%w in shadow(5): passwd(5) holds the password field itself", shadowsync.ErrNoAccount)
	}
	return fmt.Errorf("%w in shadow(5)", shadowsync.ErrNoAccount)
}
