// Package notes reads the notes that the PAM module left about changes that the broker did not
// take: "the account X was changed at T", and never a secret.
//
// A note is a symbolic link in a folder that only root can access, n.NAME -> "1 UNIXTIME TAG"
// (cmd/pam_shadowsync/note.h says why). The tag is a digest of the account's password field
// before the change. If the field has another tag now, the change was made; if it has the
// same, the change was undone or never happened. A note without a tag was left on a full
// disk, or about a field that could not be read: it counts as a change.
//
// The reader renames n.NAME to p.NAME before it reads the account, so that any later change
// leaves a new note. It removes p.NAME once the content of the note is durable elsewhere.
// After a crash p.NAME is read again.
package notes

import (
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/files/inroot"
)

// Dir is the folder, beneath the root directory.
const Dir = "/var/lib/shadowsync/notes"

// Prefixes of the links: a note, a claimed note, a spare link, a link that is being made.
const (
	fresh   = "n."
	claimed = "p."
	spare   = "s."
	making  = "t."
)

// madeWithin is longer than it takes to make a note: an older link was left by a process that was
// killed.
const madeWithin = time.Minute

const (
	spares      = 8
	spareTarget = "1"       // no time and no tag
	tooLong     = "all"     // stands for every name that is too long for a link
	nameMax     = 255 - 2   // bytes of a link's name after its prefix
	most        = 1_000_000 // the module does not leave more notes than that
)

// Note is one note.
type Note struct {
	At  time.Time
	UID int // real uid of the process that made the change

	name   string // of the link, without its prefix
	prefix string
	tag    string // empty: not known
	inode  uint64
}

// Of reports whether the note is about an account.
func (n Note) Of(account string) bool { return n.name == linkName(account) }

// Account is the account's name, or "" if that is too long for a link.
func (n Note) Account() string {
	if n.name == tooLong {
		return ""
	}
	account, err := unescape(n.name)
	if err != nil {
		return ""
	}
	return account
}

// Undone reports whether an account's password is the one from before the change. A lock mark that
// was added or removed since then makes no difference.
func (n Note) Undone(field string) bool {
	hash, before := strings.TrimLeft(field, "!"), false
	for _, marked := range []string{field, hash, "!" + hash, "!!" + hash} {
		before = subtle.ConstantTimeCompare([]byte(n.tag), []byte(tagOf(marked))) == 1 || before
	}
	return n.tag != "" && before
}

// tagOf is the first half of a field's SHA-256, as the module writes it.
func tagOf(field string) string {
	sum := sha256.Sum256([]byte(field))
	return hex.EncodeToString(sum[:16])
}

// linkName is an account's name as the module writes it after the prefix.
func linkName(account string) string {
	var b strings.Builder
	for i := range len(account) {
		c := account[i]
		if c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '-' || c == '_' {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", c)
	}
	if b.Len() > nameMax {
		return tooLong
	}
	return b.String()
}

func unescape(name string) (string, error) {
	var b strings.Builder
	for {
		plain, rest, escaped := strings.Cut(name, "%")
		b.WriteString(plain)
		if !escaped {
			return b.String(), nil
		}
		if len(rest) < 2 {
			return "", fs.ErrInvalid
		}
		c, err := strconv.ParseUint(rest[:2], 16, 8)
		if err != nil {
			return "", err
		}
		b.WriteByte(byte(c))
		name = rest[2:]
	}
}

// Folder is the open folder of notes.
type Folder struct{ dir *os.File }

// Open opens the folder of the system at root. The error is fs.ErrNotExist if there is none, and
// fs.ErrPermission if others than root can access it: its notes cannot be trusted then.
func Open(root string) (*Folder, error) {
	dir, err := inroot.Open(root, Dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW)
	if err != nil {
		return nil, fmt.Errorf("cannot read the notes: %w", err)
	}
	f := &Folder{dir}
	var st unix.Stat_t
	err = unix.Fstat(f.fd(), &st)
	if err == nil && (!ours(st.Uid) || st.Mode&0o077 != 0) {
		err = fmt.Errorf("%s belongs to uid %d with mode %#o: %w", Dir, st.Uid, st.Mode&0o7777, fs.ErrPermission)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot read the notes: %w", err), dir.Close())
	}
	return f, nil
}

func ours(uid uint32) bool { return uid == 0 || int(uid) == os.Geteuid() }

func (f *Folder) fd() int { return int(f.dir.Fd()) }

// Close closes the folder.
func (f *Folder) Close() error { return f.dir.Close() }

// List returns the notes, oldest first, but claimed notes before unclaimed ones. It claims nothing.
func (f *Folder) List() ([]Note, error) {
	names, err := f.names()
	if err != nil {
		return nil, fmt.Errorf("cannot read the notes: %w", err)
	}
	var found []Note
	for _, name := range names {
		if !strings.HasPrefix(name, fresh) && !strings.HasPrefix(name, claimed) {
			continue
		}
		note, err := f.read(name)
		switch {
		case err == nil:
			found = append(found, note)
		case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.EINVAL): // dropped by another process; not a link
			return nil, fmt.Errorf("cannot read the note %s: %w", filepath.Join(Dir, name), err)
		}
	}
	slices.SortStableFunc(found, func(x, y Note) int {
		return cmp.Or(-cmp.Compare(x.prefix, y.prefix), x.At.Compare(y.At), cmp.Compare(x.name, y.name))
	})
	return found, nil
}

func (f *Folder) names() ([]string, error) {
	if _, err := f.dir.Seek(0, 0); err != nil {
		return nil, err
	}
	names, err := f.dir.Readdirnames(most)
	if errors.Is(err, io.EOF) { // the folder is empty
		err = nil
	}
	return names, err
}

// read reads a note with readlink(2) and lstat(2) alone. If the target has another form, the link
// was a spare one or comes from a later version: the note counts without its tag.
func (f *Folder) read(name string) (Note, error) {
	note := Note{prefix: name[:len(fresh)], name: name[len(fresh):]}
	var st unix.Stat_t
	if err := unix.Fstatat(f.fd(), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return note, err
	}
	target := make([]byte, 256)
	n, err := unix.Readlinkat(f.fd(), name, target)
	if err != nil {
		return note, err
	}
	note.inode, note.At, note.UID = st.Ino, time.Unix(st.Ctim.Unix()), int(st.Uid)
	words := strings.Fields(string(target[:n]))
	if len(words) < 2 || words[0] != "1" {
		return note, nil
	}
	if seconds, err := strconv.ParseInt(words[1], 10, 64); err == nil {
		note.At = time.Unix(seconds, 0)
	}
	if len(words) == 3 {
		note.tag = words[2]
	}
	return note, nil
}

// Claim takes a note before its account is read. A change may have been added to the note since it
// was listed; from now on none is.
func (f *Folder) Claim(n *Note) error {
	if n.prefix == claimed {
		return nil
	}
	err := unix.Renameat(f.fd(), fresh+n.name, f.fd(), claimed+n.name)
	if err != nil && !errors.Is(err, unix.ENOENT) { // another process claimed it: two may handle one note
		return fmt.Errorf("cannot claim the note %s: %w", filepath.Join(Dir, fresh+n.name), err)
	}
	n.prefix = claimed
	if now, err := f.read(claimed + n.name); err == nil && now.inode == n.inode {
		n.UID = now.UID
	}
	return nil
}

// Drop removes a claimed note, but not a newer one that another process claimed meanwhile.
func (f *Folder) Drop(n Note) error {
	now, err := f.read(claimed + n.name)
	if err == nil && now.inode == n.inode {
		err = unix.Unlinkat(f.fd(), claimed+n.name, 0)
	}
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("cannot remove the note %s: %w", filepath.Join(Dir, claimed+n.name), err)
	}
	return nil
}
