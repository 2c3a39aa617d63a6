// Package argv removes secrets from a process's command line.
//
// Everybody can read /proc/PID/cmdline, and journald stores it, as _CMDLINE, with every record that
// the process sends. Hide overwrites the words in the memory from which the kernel reads that file.
// It cannot hide what was read between exec(2) and that moment.
package argv

import (
	"bytes"
	"os"
	"strings"
	"unsafe"
)

// mark replaces a hidden word. It does not reveal the word's length.
const mark = "*"

// Hide returns the words of the command line, the program first, and hides from other processes
// those that hidden selects. Call it before anything logs or starts a process.
func Hide(hidden func(words []string) []bool) []string {
	words := make([]string, len(os.Args))
	for i, word := range os.Args {
		words[i] = strings.Clone(word)
	}
	overwrite(os.Args, hidden(words))
	os.Args = words // the memory of the old strings was overwritten
	return words
}

// overwrite writes the visible words over the memory of the arguments. The strings of os.Args are
// in that memory; each word ends with a NUL, and the next one follows it.
func overwrite(args []string, hide []bool) {
	var seen []byte
	size := 0
	for i, word := range args {
		if hide[i] && word != "" {
			word = mark
		}
		seen = append(append(seen, word...), 0)
		size += len(args[i]) + 1
	}
	if !row(args) { // no known kernel does that; then the lengths stay visible
		for i, word := range args {
			if hide[i] {
				clear(unsafe.Slice(unsafe.StringData(word), len(word)))
			}
		}
		return
	}
	memory := unsafe.Slice(unsafe.StringData(args[0]), size)
	if bytes.Equal(memory, seen) {
		return
	}
	// The rest becomes NUL, including the last byte: without that the kernel would take what
	// follows, the environment, as a title that the process set for itself.
	clear(memory[copy(memory, seen):])
}

// row reports whether the words are adjacent in memory, as the kernel places them.
func row(args []string) bool {
	for i := 1; i < len(args); i++ {
		end := uintptr(unsafe.Pointer(unsafe.StringData(args[i-1]))) + uintptr(len(args[i-1])) + 1
		if args[i] != "" && args[i-1] != "" && uintptr(unsafe.Pointer(unsafe.StringData(args[i]))) != end {
			return false
		}
	}
	return len(args) > 0 && args[0] != ""
}
