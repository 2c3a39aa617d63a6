package sessions

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Door is a way in that a changed password does not close.
type Door struct {
	Kind string `json:"kind"` // authorized_keys, crontab, at, linger
	Path string `json:"path"`
	Text string `json:"text"` // for people
}

// Where the ways in are that are kept by name, and by uid.
var (
	crontabs = []string{"/var/spool/cron/crontabs", "/var/spool/cron", "/var/spool/cron/tabs"}
	atJobs   = []string{"/var/spool/cron/atjobs", "/var/spool/at"}
)

// Lingering holds a file for each user whose own systemd runs without a login.
const Lingering = "/var/lib/systemd/linger"

// Doors lists the ways in that stay open for an account with this home, beneath
// root. It opens nothing: the home is the user's, and what lies there may be anything.
// It needs to see homes, which the broker's sandbox hides.
func Doors(root, name string, uid int, home string) ([]Door, error) {
	var doors []Door
	var errs []error
	for _, file := range []string{".ssh/authorized_keys", ".ssh/authorized_keys2"} {
		path := filepath.Join(home, file)
		there, err := filled(filepath.Join(root, path))
		errs = append(errs, err)
		if there {
			doors = append(doors, Door{"authorized_keys", path, "ssh keys in " + path + " still let in"})
		}
	}
	for _, folder := range crontabs {
		path := filepath.Join(folder, name)
		there, err := filled(filepath.Join(root, path))
		errs = append(errs, err)
		if there {
			doors = append(doors, Door{"crontab", path, "the crontab " + path + " still runs"})
		}
	}
	for _, folder := range atJobs {
		jobs, err := owned(filepath.Join(root, folder), uid)
		errs = append(errs, err)
		if n := len(jobs); n > 0 {
			doors = append(doors, Door{"at", folder, fmt.Sprintf("%d at jobs in %s still run", n, folder)})
		}
	}
	linger := filepath.Join(Lingering, name)
	if _, err := os.Lstat(filepath.Join(root, linger)); err == nil {
		doors = append(doors, Door{"linger", linger, "lingering is on: services of the user start at boot"})
	}
	return doors, errors.Join(errs...)
}

// filled tells whether there is something at path that is not an empty file. A
// folder that an account's name happens to name ("crontabs") is no crontab.
func filled(path string) (bool, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("cannot look for ways in: %w", err)
	}
	return !info.IsDir() && (info.Size() > 0 || !info.Mode().IsRegular()), nil
}

// owned lists the at jobs of a uid: files named after their queue and time.
func owned(folder string, uid int) (jobs []string, err error) {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot look for ways in: %w", err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) == uid {
			jobs = append(jobs, filepath.Join(folder, e.Name()))
		}
	}
	return jobs, nil
}

// Close removes the crontab, the at jobs and the lingering of an account that is gone,
// which the next one of its name or uid would inherit. A negative uid has no jobs. The
// folders are root's and the daemons'; a link in one is removed, and never followed.
func Close(root, name string, uid int) error {
	var errs []error
	for _, folder := range append([]string{Lingering}, crontabs...) {
		errs = append(errs, removeFile(filepath.Join(root, folder, name)))
	}
	for _, folder := range atJobs {
		if uid < 0 {
			break
		}
		jobs, err := owned(filepath.Join(root, folder), uid)
		errs = append(errs, err)
		for _, job := range jobs {
			errs = append(errs, removeFile(job))
		}
	}
	return errors.Join(errs...)
}

// removeFile removes what is not a folder: one may have an account's name ("crontabs").
func removeFile(path string) error {
	err := unix.Unlink(path)
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.EISDIR) || errors.Is(err, unix.ENOTDIR) {
		return nil
	}
	return fmt.Errorf("cannot remove %s: %w", path, err)
}
