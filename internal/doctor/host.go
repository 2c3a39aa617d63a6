package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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
)

// The room that a folder needs, in bytes: a replacement of a shadow file with
// 100,000 lines takes some 10 MiB, a change on record a few KiB.
const (
	roomWarn = 16 << 20
	roomFail = 1 << 20
)

// checkClock: last-change days and the audit's times come from it.
func checkClock(context.Context, *exam) verdict { return judgeClock(time.Now()) }

func judgeClock(now time.Time) verdict {
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
		found = append(found, judgeRoom(path, st))
	}
	return join("there is room in /etc and "+engine.HomeDir, found...)
}

// judgeRoom counts what root may use. File systems without a fixed number of
// inodes report none at all.
func judgeRoom(path string, st unix.Statfs_t) verdict {
	room := st.Bfree * uint64(st.Bsize)
	switch {
	case st.Flags&unix.ST_RDONLY != 0:
		return fail("%s is mounted read-only", path).by("mount -o remount,rw "+path, nil)
	case room < roomFail, st.Files > 0 && st.Ffree == 0:
		return fail("%s is full", path).person("make room", "df -h "+path)
	case room < roomWarn:
		return warn("%s has %d KiB left", path, room>>10).person("make room", "df -h "+path)
	}
	return pass("")
}

const shadowPath = "/etc/shadow"

func checkShadowFile(context.Context, *exam) verdict {
	info, err := os.Lstat(shadowPath)
	if err != nil {
		return fail("%v", err)
	}
	group := 0
	if g, err := user.LookupGroup("shadow"); err == nil {
		group, _ = strconv.Atoi(g.Gid) // a number, or the group would not have been found
	}
	st := info.Sys().(*syscall.Stat_t)
	return judgeShadowFile(info.Mode(), int(st.Uid), int(st.Gid), group)
}

// judgeShadowFile holds the file to what passwd(1) leaves: root's alone, but for
// the group that setgid programs such as chage have.
func judgeShadowFile(mode fs.FileMode, uid, gid, shadowGroup int) verdict {
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

// checkLocks looks for lock files of processes that are gone. shadow-utils and we
// break them; what else edits the files may wait for ever.
func checkLocks(context.Context, *exam) verdict {
	var found []verdict
	for _, name := range []string{"passwd", "shadow", "group", "gshadow"} {
		path := "/etc/" + name + ".lock"
		text, err := os.ReadFile(path)
		if err == nil && stale(text) {
			found = append(found, warn("%s is the lock of a process that is gone", path).
				by("rm "+path, func(context.Context) error { return os.Remove(path) }))
		}
	}
	return join("no stale lock on the account files", found...)
}

// stale tells whether the process that a lock file names is gone. The file holds
// its number, with a NUL behind it; one without a number is not judged.
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

// withoutFiles lists the databases of accounts that have a line, and no files in
// it. One without a line comes from files.
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

// edit rewrites a file line by line, keeping its mode and owner; a line that
// becomes empty goes.
func edit(path string, change func(line string) string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	var edited strings.Builder
	for line := range strings.Lines(string(text)) {
		edited.WriteString(change(line))
	}
	return replace(path, edited.String(), info)
}

func replace(path, text string, like fs.FileInfo) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".shadowsync-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	st := like.Sys().(*syscall.Stat_t)
	_, err = tmp.WriteString(text)
	err = errors.Join(err, tmp.Chown(int(st.Uid), int(st.Gid)), tmp.Chmod(like.Mode().Perm()), tmp.Sync(), tmp.Close())
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
