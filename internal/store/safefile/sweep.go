package safefile

import (
	"errors"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

func (f *Folder) temporaryPrefix() string { return "." + f.place.base() + ".shadowsync-" }

// Sweep removes temporary files of writers that no longer run, as far as it can.
func (f *Folder) Sweep() {
	fd, err := unix.Openat(f.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	folder := os.NewFile(uintptr(fd), f.place.folder())
	defer folder.Close()
	names, _ := folder.Readdirnames(-1)
	for _, name := range names {
		if rest, ok := strings.CutPrefix(name, f.temporaryPrefix()); ok && abandoned(rest) {
			_ = unix.Unlinkat(f.fd, name, 0)
		}
	}
}

// abandoned reports whether the process whose pid is in a temporary file's name is gone.
func abandoned(suffix string) bool {
	digits, _, ok := strings.Cut(suffix, "-")
	pid, err := strconv.Atoi(digits)
	return ok && err == nil && pid > 0 && errors.Is(unix.Kill(pid, 0), unix.ESRCH)
}
