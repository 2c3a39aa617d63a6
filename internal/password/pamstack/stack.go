// Package pamstack reads the password, auth and account stacks of Linux-PAM, as pam.d(5) describes
// them, and checks that pam_shadowsync.so is at the right place.
//
// It looks at what a stack does, not how it looks: it walks the lines as libpam does, once with a
// module that stores or checks the password successfully, and once with one that fails. The first
// walk must reach pam_shadowsync.so, the second must not. A line that judges new passwords must be
// reached before the storing module. A line that asks for a second factor is checked against every
// result that the other modules can have: none may lead past it.
//
//	stack.go    Read and Passwd: the lines of a service, includes followed
//	text.go     the words of a file
//	duty.go     the purpose of each line of pam_shadowsync.so
//	control.go  what a line does with its module's result
//	walk.go     which lines are reached
//	fault.go    what is wrong with a line of pam_shadowsync.so
//	gap.go      the ways past a line that refuses
//	block.go    the lines of a service that asks for second factors, in and out of its file
package pamstack

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/shadowsync/shadowsync/internal/files/inroot"
)

// Module is the file name of shadowsync's module.
const Module = "pam_shadowsync.so"

// The folders of services, the administrator's first; libpam takes the first file that it finds.
var folders = []string{"/etc/pam.d", "/usr/lib/pam.d"}

// passwd are the services from which the password lines of passwd(1) are read; the first one that is
// complete counts. A system without its own service of passwd still has Debian's file, or Fedora's
// two, which agree in what counts here.
var passwd = []string{"passwd", "common-password", "system-auth", "password-auth"}

// maxFile is the largest file that is read, in bytes; real ones have 2 KB.
const maxFile = 1 << 20

// substack is the control of a line that names another stack.
const substack = "substack"

// maxDepth is libpam's own limit of nested includes (PAM_SUBSTACK_MAX_LEVEL).
const maxDepth = 16

// Kind is the management group of a stack.
type Kind string

// The kinds that contain lines of pam_shadowsync.so.
const (
	Password Kind = "password"
	Auth     Kind = "auth"
	Account  Kind = "account"
)

// Line is a line of a stack. A line that names a substack holds the substack's lines.
type Line struct {
	Kind     Kind
	File     string // as seen from the root directory
	Number   int    // from 1
	Control  string // "required", or "[success=1 default=ignore]"
	Module   string // without its folder
	Path     string // of the module, as the file has it
	Args     []string
	Substack []Line
	// Broken: libpam cannot read the line. It counts in jumps, and fails: it has no module here.
	Broken bool
}

func (l Line) String() string {
	return strings.TrimSpace(strings.Join(slices.Concat([]string{string(l.Kind), l.Control, l.Module}, l.Args), " "))
}

// Place returns where the line is, to show to people.
func (l Line) Place() string { return fmt.Sprintf("%s line %d", l.File, l.Number) }

// Services lists the services beneath root, in order.
func Services(root string) ([]string, error) {
	var names []string
	for _, folder := range folders {
		entries, err := inroot.ReadDir(root, folder)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("cannot list the PAM services: %w", err)
		}
		for _, e := range entries {
			// pam-auth-update and package managers leave copies with a suffix behind.
			if !e.Dir && !strings.Contains(e.Name, ".") {
				names = append(names, e.Name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// Read returns the lines of one kind of a service beneath root, including those of included files.
// As for libpam, a missing included file is an error.
func Read(root, service string, kind Kind) ([]Line, error) {
	lines, err := reading{root, kind, true}.file(service, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot read the PAM stack of %s: %w", service, err)
	}
	return lines, nil
}

// Passwd returns the lines of the stack with which passwd(1) of the system below root sets a
// password; none if there is no such stack.
func Passwd(root string) ([]Line, error) {
	for _, service := range passwd {
		lines, err := Read(root, service, Password)
		if !errors.Is(err, fs.ErrNotExist) {
			return lines, err
		}
	}
	return nil, nil
}

// reading reads the lines of one kind.
type reading struct {
	root string
	kind Kind
	all  bool // libpam reads the lines of every kind here, and takes one whose kind it does not know for auth
}

func (r reading) file(name string, depth int) ([]Line, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("includes are nested deeper than %d", maxDepth)
	}
	path, text, err := find(r.root, name)
	if err != nil {
		return nil, err
	}
	var lines []Line
	for i, words := range split(text) {
		if len(words) == 0 {
			continue
		}
		parsed, err := r.line(words, Line{Kind: r.kind, File: path, Number: i + 1}, depth)
		if err != nil {
			return nil, err
		}
		lines = append(lines, parsed...)
	}
	return lines, nil
}

// find reads a service's file, or the file at an absolute path.
func find(root, name string) (path, text string, err error) {
	candidates := []string{name}
	if !filepath.IsAbs(name) {
		candidates = nil
		for _, folder := range folders {
			candidates = append(candidates, filepath.Join(folder, name))
		}
	}
	for _, path := range candidates {
		text, err := readFile(root, path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		return path, text, err
	}
	return "", "", fmt.Errorf("%s: %w", candidates[0], fs.ErrNotExist)
}

func readFile(root, path string) (string, error) {
	f, err := inroot.OpenRegular(root, path, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxFile)
	}
	return string(text), err
}

// kinds are the management groups that libpam knows.
var kinds = []string{string(Auth), string(Account), string(Password), "session"}

// line turns the words of a line into lines of l's kind, as _pam_parse_conf_file does: none, one, or those
// of an include.
func (r reading) line(words []string, l Line, depth int) ([]Line, error) {
	if words[0] == "@include" && len(words) > 1 {
		return r.file(words[1], depth+1)
	}
	// In a "-password" line a missing module is not logged.
	kind := strings.TrimPrefix(strings.ToLower(words[0]), "-")
	if l.Broken = !slices.Contains(kinds, kind); l.Broken && r.all {
		kind = string(Auth)
	}
	if kind != string(l.Kind) && (!l.Broken || r.all) {
		return nil, nil
	}
	if len(words) > 1 {
		l.Control = strings.ToLower(words[1])
	}
	included := l.Control == "include" || l.Control == substack
	switch {
	case len(words) < 2, included && len(words) < 3:
		l.Broken, l.Control = true, "[default=bad]"
	case included:
		lines, err := reading{r.root, l.Kind, false}.file(words[2], depth+1)
		if l.Control == "include" {
			return lines, err
		}
		l.Broken, l.Substack = false, lines
		return []Line{l}, err
	case len(words) < 3:
		l.Broken = true
	}
	if !l.Broken {
		l.Module, l.Path, l.Args = filepath.Base(words[2]), words[2], words[3:]
	}
	return []Line{l}, nil
}
