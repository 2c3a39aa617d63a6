package shadowfile

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"slices"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// lastSystemUID is the highest uid that sysusers.d(5) gives to an account unless its file names one
// (login.defs(5), SYS_UID_MAX).
const lastSystemUID = 999

// addition is a line that a boot may have added.
type addition struct {
	name   string
	before string // the digest of the lines before it
}

// Unmanaged returns digests of the lines of all accounts except the managed ones. With ImageIdentity
// they distinguish an image that was rolled back from a single account that was restored.
//
// The first digest is of all these lines. Each further one leaves out one more of the last lines, as
// long as these are of system accounts that no password opens. systemd-sysusers(8) appends such lines
// at boot, before anybody can look at the file, so the older image may not have them.
//
// It skips lines that glibc does not accept, because pam_unix drops them whenever it changes a password.
func (f *File) Unmanaged(ctx context.Context, managed []string) (digests []string, err error) {
	digest, ours := sha256.New(), pick(managed)
	sum := func() string { return hex.EncodeToString(digest.Sum(nil)) }
	err = f.withShadow(ctx, func(t *tree, file *os.File) error {
		var last []addition
		err := eachLine(file, func(raw []byte) {
			e, ok := parseEntry(readLine(string(raw)))
			if _, managed := ours[e.name]; !ok || managed {
				return
			}
			if e.opensNothing() {
				last = append(last, addition{e.name, sum()})
			} else {
				last = last[:0]
			}
			digest.Write(bytes.TrimSuffix(raw, []byte("\n")))
			digest.Write([]byte("\n"))
		})
		if err != nil {
			return err
		}
		digests, err = withoutAdditions(t, []string{sum()}, last)
		return err
	})
	return digests, err
}

// withoutAdditions appends to the digests those without the last lines, up to the first of them, seen
// from the end, that is not a system account's.
func withoutAdditions(t *tree, digests []string, last []addition) ([]string, error) {
	names := make([]string, len(last))
	for i, a := range last {
		names[i] = a.name
	}
	known, err := readUsers(t, pick(names))
	if err != nil {
		return nil, err
	}
	for _, a := range slices.Backward(last) {
		i := known.find(a.name)
		// If the password is not in shadow(5), this line does not tell what opens the account.
		if i < 0 || !known.list[i].shadowed || known.list[i].uid > lastSystemUID {
			break
		}
		digests = append(digests, a.before)
	}
	return digests, nil
}

// opensNothing reports whether the line holds no password, not even a locked one.
func (e entry) opensNothing() bool {
	kind := e.credential().Kind()
	return kind == shadowsync.KindShut || kind == shadowsync.KindNone
}
