package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// keepOutput has a terminal print what was written to it before a Ctrl-C. By itself it
// throws away what still waits (NOFLSH in termios(3)), and that may be a password
// which is told only once. The result puts the setting back.
func (a *app) keepOutput() (restore func()) {
	none := func() {}
	out, ok := a.out.(*os.File)
	if !ok {
		return none
	}
	fd := int(out.Fd())
	modes, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil || modes.Lflag&unix.NOFLSH != 0 || !inForeground(fd) {
		return none
	}
	setNoFlush(fd, true)
	return func() {
		if inForeground(fd) {
			setNoFlush(fd, false)
		}
	}
}

// inForeground: whoever is not is stopped by SIGTTOU where it sets a terminal's modes.
func inForeground(fd int) bool {
	group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// setNoFlush changes this one mode; a password that is asked for changes others.
func setNoFlush(fd int, on bool) {
	modes, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return
	}
	modes.Lflag &^= unix.NOFLSH
	if on {
		modes.Lflag |= unix.NOFLSH
	}
	_ = unix.IoctlSetTermios(fd, unix.TCSETS, modes) // a terminal that hung up: nobody reads it
}
