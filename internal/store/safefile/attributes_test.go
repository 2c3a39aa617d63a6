package safefile

import (
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/files/durable"
)

func TestAttributesStay(t *testing.T) {
	p := place(t, "old")
	acl := "\x02\x00\x00\x00" + // ACL_EA_VERSION; then tag, permissions, id
		"\x01\x00\x06\x00\xff\xff\xff\xff" + // the owner: rw
		"\x02\x00\x04\x00\xe8\x03\x00\x00" + // uid 1000: r
		"\x04\x00\x04\x00\xff\xff\xff\xff" + // the group: r
		"\x10\x00\x04\x00\xff\xff\xff\xff" + // mask
		"\x20\x00\x00\x00\xff\xff\xff\xff" // others
	if err := unix.Setxattr(p.Path, durable.AccessList, []byte(acl), 0); errors.Is(err, unix.ENOTSUP) {
		t.Skip("no access lists here")
	} else if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("v", 1000)
	if err := unix.Setxattr(p.Path, "user.note", []byte(long), 0); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		if err := os.Chown(p.Path, 1234, 2345); err != nil {
			t.Fatal(err)
		}
	}
	before := describe(t, p.Path)
	f := open(t, p)
	if err := f.Replace(readAll(t, f), []byte("new")); err != nil {
		t.Fatal(err)
	}
	holds(t, p, "new")
	if after := describe(t, p.Path); after != before {
		t.Errorf("was %+v\nis %+v", before, after)
	}
}

func TestAccessListOfTheFolderIsNotTaken(t *testing.T) {
	p := place(t, "old")
	acl := "\x02\x00\x00\x00" + "\x01\x00\x07\x00\xff\xff\xff\xff" + "\x02\x00\x07\x00\xe8\x03\x00\x00" +
		"\x04\x00\x07\x00\xff\xff\xff\xff" + "\x10\x00\x07\x00\xff\xff\xff\xff" + "\x20\x00\x05\x00\xff\xff\xff\xff"
	if err := unix.Setxattr(p.folder(), "system.posix_acl_default", []byte(acl), 0); errors.Is(err, unix.ENOTSUP) {
		t.Skip("no access lists here")
	} else if err != nil {
		t.Fatal(err)
	}
	before := describe(t, p.Path)
	f := open(t, p)
	if err := f.Replace(readAll(t, f), []byte("new")); err != nil {
		t.Fatal(err)
	}
	if after := describe(t, p.Path); after != before {
		t.Errorf("was %+v\nis %+v", before, after)
	}
}

type description struct {
	uid, gid, mode uint32
	acl, note      string
}

func describe(t *testing.T, path string) description {
	t.Helper()
	fd, err := unix.Open(path, unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		t.Fatal(err)
	}
	return description{st.Uid, st.Gid, st.Mode, attribute(t, fd, durable.AccessList), attribute(t, fd, "user.note")}
}

// attribute is empty if the file does not have it.
func attribute(t *testing.T, fd int, name string) string {
	t.Helper()
	value := make([]byte, 4096)
	n, err := unix.Fgetxattr(fd, name, value)
	if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.ENOTSUP) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(value[:n])
}
