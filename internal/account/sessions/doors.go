package sessions

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/term/plural"
)

// Door is a way in that a changed password does not close.
type Door struct {
	Kind string `json:"kind"` // authorized_keys, crontab, at, linger
	Path string `json:"path"`
	Text string `json:"text"` // shown to people
}

// Folders with ways in, named after the account (crontabs) or owned by its uid (at jobs).
var (
	crontabs = []string{"/var/spool/cron/crontabs", "/var/spool/cron", "/var/spool/cron/tabs"}
	atJobs   = []string{"/var/spool/cron/atjobs", "/var/spool/at"}
)

// Lingering holds a file for each user whose own systemd runs without a login.
const Lingering = "/var/lib/systemd/linger"

// Doors lists the ways in that stay open for an account with this home, beneath root. It opens no
// file: the home belongs to the user, and a file there may be anything. It must see homes, which
// the broker's sandbox hides.
func Doors(root, name string, uid int, home string) ([]Door, error) {
	var doors []Door
	var errs []error
	for _, file := range []string{".ssh/authorized_keys", ".ssh/authorized_keys2"} {
		path := filepath.Join(home, file)
		there, err := filled(root, path)
		errs = append(errs, err)
		if there {
			doors = append(doors, Door{"authorized_keys", path, "ssh keys in " + path + " still let in"})
		}
	}
	for _, folder := range crontabs {
		path := filepath.Join(folder, name)
		there, err := filled(root, path)
		errs = append(errs, err)
		if there {
			doors = append(doors, Door{"crontab", path, "the crontab " + path + " still runs"})
		}
	}
	for _, folder := range atJobs {
		jobs, err := owned(root, folder, uid)
		errs = append(errs, err)
		if n := len(jobs); n > 0 {
			doors = append(doors, Door{"at", folder, fmt.Sprintf("%s in %s still %s", plural.Count(n, "at job"), folder, plural.Form(n, "runs", "run"))})
		}
	}
	linger := filepath.Join(Lingering, name)
	if _, err := inroot.Lstat(root, linger); err == nil {
		doors = append(doors, Door{"linger", linger, "lingering is on: services of the user start at boot"})
	}
	return doors, errors.Join(errs...)
}

// filled reports whether something other than an empty file is at path. A folder with an account's
// name ("crontabs") is not a crontab.
func filled(root, path string) (bool, error) {
	info, err := inroot.Lstat(root, path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("cannot look for ways in: %w", err)
	}
	return !info.IsDir() && (info.Size() > 0 || !info.Mode().IsRegular()), nil
}

// owned lists the at jobs of a uid: files named after their queue and time.
func owned(root, folder string, uid int) (jobs []string, err error) {
	entries, err := inroot.ReadDir(root, folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot look for ways in: %w", err)
	}
	for _, e := range entries {
		job := filepath.Join(folder, e.Name)
		info, err := inroot.Lstat(root, job)
		if err != nil || !info.Mode().IsRegular() || strings.HasPrefix(e.Name, ".") {
			continue
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) == uid {
			jobs = append(jobs, job)
		}
	}
	return jobs, nil
}

// Close removes the crontab, the at jobs and the lingering of a removed account, which the next one
// of its name or uid would inherit. A negative uid means: keep the jobs. The folders belong to root
// and to daemons; a link in one is removed and never followed.
func Close(root, name string, uid int) error {
	var errs []error
	for _, folder := range append([]string{Lingering}, crontabs...) {
		errs = append(errs, removeFile(root, filepath.Join(folder, name)))
	}
	for _, folder := range atJobs {
		if uid < 0 {
			break
		}
		jobs, err := owned(root, folder, uid)
		errs = append(errs, err)
		for _, job := range jobs {
			errs = append(errs, removeFile(root, job))
		}
	}
	return errors.Join(errs...)
}

// removeFile removes anything but a folder: a folder may have an account's name ("crontabs").
func removeFile(root, path string) error {
	err := inroot.RemoveFile(root, path)
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EISDIR) || errors.Is(err, syscall.ENOTDIR) {
		return nil
	}
	return fmt.Errorf("cannot close a way in: %w", err)
}
