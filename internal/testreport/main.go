// Command testreport reads what "go test -json" writes, prints what go test
// prints without -v, and at the end names the tests that were left out and why:
// go test itself says "ok" of a package whose tests were all skipped.
//
//	go test -json ./... | go run ./internal/testreport
//
// Its exit status is 1 unless every package has passed or has no tests.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
)

func main() {
	r := report{out: os.Stdout}
	if err := r.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "testreport: cannot read the tests' output:", err)
		os.Exit(1)
	}
	r.tellSkipped()
	if !r.passed() {
		os.Exit(1)
	}
}

// event is a line of "go test -json", see go doc test2json.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

type test struct{ pkg, name string }

type report struct {
	out     io.Writer
	said    map[test]*strings.Builder // of tests that have not ended
	open    map[string]bool           // packages that have not ended
	skipped map[string][]test         // by reason
	failed  bool
	ended   int
}

func (r *report) read(from io.Reader) error {
	r.said, r.open, r.skipped = map[test]*strings.Builder{}, map[string]bool{}, map[string][]test{}
	lines := bufio.NewReader(from)
	for {
		line, err := lines.ReadString('\n')
		var e event
		if json.Unmarshal([]byte(line), &e) == nil {
			r.take(e)
		} else {
			fmt.Fprint(r.out, line) // not of a test: go's own complaints
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (r *report) take(e event) {
	t := test{e.Package, e.Test}
	switch e.Action {
	case "start":
		r.open[e.Package] = true
	case "output", "build-output":
		r.output(t, e.Output)
	case "build-fail":
		r.failed = true
	case "fail":
		r.failed = true
		r.end(t, true)
	case "pass":
		r.end(t, false)
	case "skip":
		if t.name != "" {
			reason := reasonOf(r.text(t))
			r.skipped[reason] = append(r.skipped[reason], t)
		}
		r.end(t, false)
	}
}

// output keeps what a test says until it is known whether anybody has to read it.
// What a package says is printed at once, but for the line that a verbose run adds.
func (r *report) output(t test, text string) {
	switch {
	case t.name != "":
		if r.said[t] == nil {
			r.said[t] = &strings.Builder{}
		}
		r.said[t].WriteString(text)
	case text != "PASS\n":
		fmt.Fprint(r.out, text)
	}
}

func (r *report) text(t test) string {
	if r.said[t] == nil {
		return ""
	}
	return r.said[t].String()
}

// end closes a test, or a package with all of its tests that are still open: one
// that crashed or ran out of time has not ended any.
func (r *report) end(t test, failed bool) {
	if t.name == "" {
		r.ended++
		delete(r.open, t.pkg)
		for open := range r.said {
			if open.pkg == t.pkg {
				r.end(open, failed)
			}
		}
		return
	}
	if failed {
		fmt.Fprint(r.out, withoutProgress(r.text(t)))
	}
	delete(r.said, t)
}

// withoutProgress drops the lines that only a verbose run prints.
func withoutProgress(text string) string {
	var kept strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "=== ") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// reasonOf finds what was given to t.Skip: "    file_test.go:12: the reason".
func reasonOf(said string) string {
	for line := range strings.Lines(said) {
		place, reason, found := strings.Cut(strings.TrimSpace(line), ": ")
		if found && strings.Contains(place, ".go:") {
			return reason
		}
	}
	return "no reason given"
}

func (r *report) tellSkipped() {
	for _, reason := range slices.Sorted(maps.Keys(r.skipped)) {
		tests := r.skipped[reason]
		fmt.Fprintf(r.out, "left out, %d: %s\n", len(tests), reason)
		for _, t := range tests {
			fmt.Fprintf(r.out, "    %s %s\n", path.Base(t.pkg), t.name)
		}
	}
}

// passed: a go test that was killed has said of no package that it failed.
func (r *report) passed() bool { return !r.failed && len(r.open) == 0 && r.ended > 0 }
