package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/files/durable"
)

// The free space that a folder needs, in bytes: replacing a shadow file of 100,000 lines takes some
// 10 MiB, recording a change a few KiB.
const (
	roomWarn = 16 << 20
	roomFail = 1 << 20
)

// checkClock: last-change days and the audit's times depend on the clock.
func checkClock(context.Context, *exam) verdict { return assessClock(time.Now()) }

func assessClock(now time.Time) verdict {
	if now.Year() < 2020 {
		return fail("the clock says %s", now.Format(time.DateOnly)).by("timedatectl set-ntp true", nil)
	}
	return pass("%s", now.Format(time.DateOnly))
}

func checkDisk(context.Context, *exam) verdict {
	var found []verdict
	for _, path := range []string{"/etc", engine.HomeDir} {
		var st unix.Statfs_t
		if err := unix.Statfs(path, &st); err != nil {
			found = append(found, fail("%s: %v", path, err))
			continue
		}
		found = append(found, assessRoom(path, st))
	}
	var st unix.Statfs_t
	err := unix.Statfs("/tmp", &st)
	found = append(found, assessTmp(st, err))
	return join("there is room in /etc and "+engine.HomeDir, found...)
}

// assessRoom counts the space that root may use. File systems without a fixed number of inodes
// report 0 for them.
func assessRoom(path string, st unix.Statfs_t) verdict {
	room := st.Bfree * uint64(st.Bsize)
	switch {
	case st.Flags&unix.ST_RDONLY != 0:
		// After an I/O error the kernel makes a file system read-only. The path may be below its
		// mount point.
		return fail("%s is on a file system that is read-only", path).
			person("find out why (dmesg), before it is made writable", "findmnt -T "+path)
	case room < roomFail, st.Files > 0 && st.Ffree == 0:
		return fail("%s is full", path).person("make room", "df -h "+path)
	case room < roomWarn:
		return warn("%s has %d KiB left", path, room>>10).person("make room", "df -h "+path)
	}
	return pass("")
}

// assessTmp: for PrivateDevices= of the broker's unit, systemd 252 creates a folder in /tmp.
func assessTmp(st unix.Statfs_t, err error) verdict {
	full := st.Bfree == 0 && st.Blocks > 0 || st.Ffree == 0 && st.Files > 0
	switch {
	case err != nil:
	case st.Flags&unix.ST_RDONLY != 0:
		err = unix.EROFS
	case full:
		err = unix.ENOSPC
	default:
		return pass("")
	}
	return fail("no folder can be created in /tmp (%v); an older systemd needs one to start the broker", err).
		person("make room in it", "df -i /tmp; ls -ld /tmp")
}

const shadowPath = "/etc/shadow"

func checkShadowFile(context.Context, *exam) verdict {
	info, err := os.Lstat(shadowPath)
	if err != nil {
		return fail("%v", err)
	}
	group := 0
	if g, err := user.LookupGroup("shadow"); err == nil {
		group, _ = strconv.Atoi(g.Gid) // always a number: the group was found
	}
	st := info.Sys().(*syscall.Stat_t)
	return assessShadowFile(info.Mode(), int(st.Uid), int(st.Gid), group)
}

// assessShadowFile compares the file with what passwd(1) leaves: only root may access it, except for
// the group that setgid programs such as chage use.
func assessShadowFile(mode fs.FileMode, uid, gid, shadowGroup int) verdict {
	wanted := fs.FileMode(0o600)
	if shadowGroup != 0 {
		wanted = 0o640
	}
	owner := fmt.Sprintf("%d:%d", 0, shadowGroup)
	mend := func(context.Context) error {
		return errors.Join(os.Chown(shadowPath, 0, shadowGroup), os.Chmod(shadowPath, wanted))
	}
	command := fmt.Sprintf("chown %s %s && chmod %#o %s", owner, shadowPath, wanted, shadowPath)
	switch {
	case !mode.IsRegular():
		return fail("%s is not a regular file", shadowPath)
	case uid != 0:
		return fail("%s belongs to uid %d", shadowPath, uid).by(command, mend)
	case mode&0o137 != 0, mode&0o040 != 0 && gid != 0 && gid != shadowGroup:
		return fail("%s has mode %#o, group %d: others may read or write it", shadowPath, mode.Perm(), gid).by(command, mend)
	}
	return pass("%s belongs to root alone", shadowPath)
}

// checkLocks looks for lock files of dead processes. shadow-utils and we break them; other programs
// that edit the files may wait forever.
func checkLocks(context.Context, *exam) verdict {
	var found []verdict
	for _, name := range []string{"passwd", "shadow", "group", "gshadow"} {
		path := "/etc/" + name + ".lock"
		text, err := os.ReadFile(path)
		if err == nil && stale(text) {
			found = append(found, warn("%s is the lock of a process that is gone", path).
				// Any process that takes the lock meanwhile breaks a dead holder's, also the check
				// "writable".
				by("rm -f "+path, func(context.Context) error { return removed(os.Remove(path)) }))
		}
	}
	return join("no stale lock on the account files", found...)
}

// stale reports whether the process named by a lock file is dead. The file contains its pid and a
// trailing NUL; a file without a pid is not stale.
func stale(text []byte) bool {
	pid, err := strconv.Atoi(string(bytes.TrimSpace(bytes.TrimRight(text, "\x00"))))
	return err == nil && pid > 0 && errors.Is(unix.Kill(pid, 0), unix.ESRCH)
}

const nsswitchPath = "/etc/nsswitch.conf"

func checkNSSwitch(context.Context, *exam) verdict {
	text, err := os.ReadFile(nsswitchPath)
	if errors.Is(err, fs.ErrNotExist) {
		return pass("no %s: accounts come from files", nsswitchPath)
	}
	if err != nil {
		return fail("%v", err)
	}
	var found []verdict
	for _, database := range withoutFiles(string(text)) {
		found = append(found, fail("%s does not take %s from files", nsswitchPath, database).
			by(fmt.Sprintf("sed -i 's/^%s:/& files/' %s", database, nsswitchPath), addFiles(database)))
	}
	return join("passwd and shadow come from files", found...)
}

// withoutFiles lists the account databases whose line lacks "files". A database without a line uses
// files.
func withoutFiles(text string) []string {
	var lacking []string
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		database, services, ok := strings.Cut(line, ":")
		database = strings.TrimSpace(database)
		if !ok || database != "passwd" && database != "shadow" {
			continue
		}
		words := strings.Fields(services)
		if !slices.Contains(words, "files") && !slices.Contains(words, "compat") {
			lacking = append(lacking, database)
		}
	}
	return lacking
}

func addFiles(database string) func(context.Context) error {
	return func(context.Context) error {
		return edit(nsswitchPath, func(line string) string {
			if rest, ok := strings.CutPrefix(line, database+":"); ok {
				return database + ": files" + rest
			}
			return line
		})
	}
}

// edit rewrites a file line by line and keeps its mode and owner. It removes a line that becomes
// empty. It follows a symbolic link and rewrites the file behind it.
func edit(path string, change func(line string) string) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	old, err := os.Open(path)
	if err != nil {
		return err
	}
	defer old.Close()
	text, err := io.ReadAll(old)
	if err != nil {
		return err
	}
	var edited strings.Builder
	for line := range strings.Lines(string(text)) {
		edited.WriteString(change(line))
	}
	return replace(path, edited.String(), old)
}

// replace replaces an open file's content and keeps all its attributes.
func replace(path, text string, old *os.File) error {
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer folder.Close()
	return durable.WriteLike(int(folder.Fd()), filepath.Base(path), []byte(text), old)
}

// removed is the error of a removal; a file that was already gone is not an error.
func removed(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
