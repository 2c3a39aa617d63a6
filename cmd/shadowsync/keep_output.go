package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// keptModes are the modes of a terminal that keepOutput changes (termios(3)).
const keptModes = unix.NOFLSH | unix.ECHO

// keepOutput keeps the terminal from discarding pending output on Ctrl-C: that output may contain a
// password that is shown only once. While passwords are printed the key is not echoed either,
// because ^C would appear inside one. The returned function restores the modes.
func (a *app) keepOutput(tells bool) (restore func()) {
	none := func() {}
	out, ok := a.out.(*os.File)
	if !ok {
		return none
	}
	fd := int(out.Fd())
	modes, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil || !inForeground(fd) {
		return none
	}
	before := modes.Lflag & keptModes
	wanted := before | unix.NOFLSH
	if tells {
		wanted &^= unix.ECHO
	}
	setModes(fd, wanted)
	return func() {
		if inForeground(fd) {
			setModes(fd, before)
		}
	}
}

// inForeground reports whether this process may set the terminal's modes: SIGTTOU stops one in the
// background.
func inForeground(fd int) bool {
	group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// setModes changes only these modes.
func setModes(fd int, wanted uint32) {
	modes, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return
	}
	modes.Lflag = modes.Lflag&^keptModes | wanted
	_ = unix.IoctlSetTermios(fd, unix.TCSETS, modes) // it fails only on a hung-up terminal, which nobody reads
}
