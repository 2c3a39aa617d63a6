// Package pamstack reads the password and auth stacks of Linux-PAM, as pam.d(5)
// describes them, and tells whether pam_shadowsync.so is where it has to be.
//
// It promises to judge by what a stack does and not by how it looks: it walks the
// lines as libpam does, once with a module that stores or checks the password and
// succeeds, and once with one that fails. Our module must be reached the first time and not the second; where
// it judges, before that module.
//
//	stack.go    Read: the lines of a service, includes followed
//	duty.go     what each of our lines is for
//	control.go  what a line does with its module's result
//	walk.go     which lines are reached
//	judge.go    what is wrong with our line
package pamstack

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Module is ours.
const Module = "pam_shadowsync.so"

// The folders of services, the administrator's first; libpam takes the first file it finds.
var folders = []string{"/etc/pam.d", "/usr/lib/pam.d"}

// maxDepth is libpam's own bound of nested includes (PAM_SUBSTACK_MAX_LEVEL).
const maxDepth = 16

// Kind is the management group of a stack.
type Kind string

// The kinds that concern us.
const (
	Password Kind = "password"
	Auth     Kind = "auth"
)

// Line is a line of a stack. One that names a substack holds its lines.
type Line struct {
	Kind     Kind
	File     string // as seen from the root directory
	Number   int    // from 1
	Control  string // "required", or "[success=1 default=ignore]"
	Module   string // without its folder
	Args     []string
	Substack []Line
}

func (l Line) String() string {
	return strings.Join(slices.Concat([]string{string(l.Kind), l.Control, l.Module}, l.Args), " ")
}

// Place is where the line is, for people.
func (l Line) Place() string { return fmt.Sprintf("%s line %d", l.File, l.Number) }

// Services lists the services beneath root, in order.
func Services(root string) ([]string, error) {
	var names []string
	for _, folder := range folders {
		entries, err := os.ReadDir(filepath.Join(root, folder))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("cannot list the PAM services: %w", err)
		}
		for _, e := range entries {
			// pam-auth-update and packagers leave copies with a suffix behind.
			if !e.IsDir() && !strings.Contains(e.Name(), ".") {
				names = append(names, e.Name())
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// Read returns the lines of one kind of a service beneath root, with what they
// include. A file that is included and not there is an error, as it is for libpam.
func Read(root, service string, kind Kind) ([]Line, error) {
	lines, err := read(root, service, kind, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot read the PAM stack of %s: %w", service, err)
	}
	return lines, nil
}

func read(root, name string, kind Kind, depth int) ([]Line, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("includes are nested deeper than %d", maxDepth)
	}
	path, text, err := find(root, name)
	if err != nil {
		return nil, err
	}
	var lines []Line
	for i, words := range split(text) {
		if len(words) == 0 {
			continue
		}
		parsed, err := parse(root, words, Line{Kind: kind, File: path, Number: i + 1}, depth)
		if err != nil {
			return nil, err
		}
		lines = append(lines, parsed...)
	}
	return lines, nil
}

// find reads a service's file, or the file of an absolute path.
func find(root, name string) (path, text string, err error) {
	candidates := []string{name}
	if !filepath.IsAbs(name) {
		candidates = nil
		for _, folder := range folders {
			candidates = append(candidates, filepath.Join(folder, name))
		}
	}
	for _, path := range candidates {
		data, err := os.ReadFile(filepath.Join(root, path))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		return path, string(data), err
	}
	return "", "", fmt.Errorf("%s: %w", candidates[0], fs.ErrNotExist)
}

// split gives the words of each line, at the index of the line on which they
// begin: a backslash before the newline joins two.
func split(text string) [][]string {
	physical := strings.Split(text, "\n")
	words := make([][]string, len(physical))
	for i := 0; i < len(physical); i++ {
		start, line := i, physical[i]
		for strings.HasSuffix(line, `\`) && i+1 < len(physical) {
			i++
			line = strings.TrimSuffix(line, `\`) + " " + physical[i]
		}
		line, _, _ = strings.Cut(line, "#")
		words[start] = fields(line)
	}
	return words
}

// fields splits at white space; what is in brackets is one word.
func fields(line string) []string {
	var words []string
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		end := strings.IndexAny(line, " \t")
		if line[0] == '[' {
			if end = strings.IndexByte(line, ']') + 1; end == 0 {
				end = len(line)
			}
		}
		if end < 0 {
			end = len(line)
		}
		words = append(words, line[:end])
		line = line[end:]
	}
	return words
}

// parse turns the words of a line into lines of l's kind: none, one, or those of an include.
func parse(root string, words []string, l Line, depth int) ([]Line, error) {
	if words[0] == "@include" && len(words) > 1 {
		return read(root, words[1], l.Kind, depth+1)
	}
	// "-password" is a line whose module may be missing without a word in the log.
	if strings.TrimPrefix(strings.ToLower(words[0]), "-") != string(l.Kind) || len(words) < 3 {
		return nil, nil
	}
	l.Control, l.Module, l.Args = strings.ToLower(words[1]), filepath.Base(words[2]), words[3:]
	switch l.Control {
	case "include":
		return read(root, words[2], l.Kind, depth+1)
	case "substack":
		sub, err := read(root, words[2], l.Kind, depth+1)
		l.Substack = sub
		return []Line{l}, err
	}
	return []Line{l}, nil
}
