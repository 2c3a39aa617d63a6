// Command copyright writes the packages' debian/copyright, in the form of DEP-5: the project itself, then
// Go's standard library and every module that is linked into the programs, each with its own licence.
//
//	copyright PACKAGE…
//
// A module whose licence it does not recognise is an error, so that a person looks at it.
//
//	main.go     finds the modules, and writes
//	licence.go  recognises a licence and its holders
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// architectures are those that packages are built for: a module may be linked into one alone.
var architectures = []string{"amd64", "arm64"}

const own = `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: shadowsync
Comment: The paragraphs after the first are of the Go modules that are linked into
 the programs. They are generated from the licence files of those modules.

Files: *
Copyright: the shadowsync authors
License: Apache-2.0
`

func main() {
	if err := run(os.Stdout, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "copyright:", err)
		os.Exit(1)
	}
}

func run(w io.Writer, programs []string) error {
	modules, err := linked(programs)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	text.WriteString(own)
	common := map[string]bool{"Apache-2.0": true}
	for _, name := range slices.Sorted(maps.Keys(modules)) {
		l, err := read(modules[name])
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		fmt.Fprintf(&text, "\nFiles: %s/*\nCopyright: %s\nLicense: %s\n", name, strings.Join(l.holders, "\n "), l.name)
		text.WriteString(indented(l.text))
		for word := range strings.FieldsSeq(l.name) {
			if pointers[word] != "" {
				common[word] = true
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(common)) {
		fmt.Fprintf(&text, "\nLicense: %s\n%s", name, indented(pointers[name]))
	}
	_, err = w.Write(text.Bytes())
	return err
}

// pointers are in place of the texts of licences that every Debian system has.
var pointers = map[string]string{
	"Apache-2.0": "On Debian systems the text is in /usr/share/common-licenses/Apache-2.0.",
	"GPL-2":      "On Debian systems the text is in /usr/share/common-licenses/GPL-2.",
	"MPL-2.0":    "On Debian systems the text is in /usr/share/common-licenses/MPL-2.0.",
}

// linked returns the folders of Go itself and of the modules that programs consist of, by name.
func linked(programs []string) (map[string]string, error) {
	root, err := output("", "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	modules := map[string]string{"go": strings.TrimSpace(root)}
	for _, architecture := range architectures {
		list, err := output(architecture, append([]string{"list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}} {{.Dir}}{{end}}{{end}}"}, programs...)...)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(list) {
			if name, folder, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
				modules[name] = folder
			}
		}
	}
	return modules, nil
}

func output(architecture string, args ...string) (string, error) {
	command := exec.Command("go", args...)
	command.Env = append(os.Environ(), "GOARCH="+architecture, "CGO_ENABLED=1")
	out, err := command.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return "", fmt.Errorf("go %s: %w\n%s", args[0], err, exit.Stderr)
	}
	return string(out), err
}

// indented is a text as a field of a control file has it.
func indented(text string) string {
	if text == "" {
		return ""
	}
	var b strings.Builder
	for line := range strings.Lines(strings.TrimSpace(text) + "\n") {
		if line = strings.TrimRight(line, " \t\r\n"); line == "" {
			line = "."
		}
		b.WriteString(" " + line + "\n")
	}
	return b.String()
}

// files are the names that licences have.
var files = []string{"LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "COPYING", "License"}

func read(folder string) (licence, error) {
	for _, name := range files {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return licence{}, err
		}
		notice, err := os.ReadFile(filepath.Join(folder, "NOTICE"))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return licence{}, err
		}
		return recognise(string(text), string(notice))
	}
	return licence{}, errors.New("it has no licence file")
}
