package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// keptModes are the modes of a terminal that keepOutput changes (termios(3)).
const keptModes = unix.NOFLSH | unix.ECHO

// keepOutput has a terminal print what was written to it before a Ctrl-C. By itself it
// throws away what still waits, and that may be a password which is told only once. Where
// passwords are told, the key is not echoed either: ^C would stand in the midst of one.
// The result puts the modes back.
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

// inForeground: whoever is not is stopped by SIGTTOU where it sets a terminal's modes.
func inForeground(fd int) bool {
	group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// setModes changes these modes alone.
func setModes(fd int, wanted uint32) {
	modes, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return
	}
	modes.Lflag = modes.Lflag&^keptModes | wanted
	_ = unix.IoctlSetTermios(fd, unix.TCSETS, modes) // a terminal that hung up: nobody reads it
}
