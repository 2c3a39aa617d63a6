package sessions

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Door is a way in that a changed password does not close.
type Door struct {
	Kind string `json:"kind"` // authorized_keys, crontab, at, linger
	Path string `json:"path"`
	Text string `json:"text"` // for people
}

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
	for _, folder := range []string{"/var/spool/cron/crontabs", "/var/spool/cron", "/var/spool/cron/tabs"} {
		path := filepath.Join(folder, name)
		there, err := filled(filepath.Join(root, path))
		errs = append(errs, err)
		if there {
			doors = append(doors, Door{"crontab", path, "the crontab " + path + " still runs"})
		}
	}
	for _, folder := range []string{"/var/spool/cron/atjobs", "/var/spool/at"} {
		n, err := owned(filepath.Join(root, folder), uid)
		errs = append(errs, err)
		if n > 0 {
			doors = append(doors, Door{"at", folder, fmt.Sprintf("%d at jobs in %s still run", n, folder)})
		}
	}
	linger := filepath.Join("/var/lib/systemd/linger", name)
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

// owned counts the at jobs of a uid: files named after their queue and time.
func owned(folder string, uid int) (int, error) {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("cannot look for ways in: %w", err)
	}
	n := 0
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) == uid {
			n++
		}
	}
	return n, nil
}
