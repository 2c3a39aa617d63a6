// Command testreport reads the output of "go test -json" and prints what go test prints
// without -v. At the end it names the slowest tests, and the skipped tests with the reason:
// go test itself prints "ok" for a package whose tests were all skipped.
//
//	go test -json ./... | go run ./internal/test/testreport
//
// Its exit status is 1 unless every package has passed or has no tests.
package main

import (
	"bufio"
	"cmp"
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
	r.tellSlowest()
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
	Elapsed float64 // seconds, at the end of a test
}

type test struct{ pkg, name string }

type report struct {
	out     io.Writer
	said    map[test]*strings.Builder // by tests that have not ended
	open    map[string]bool           // packages that have not ended
	skipped map[string][]test         // by reason
	took    map[test]float64          // seconds, of whole tests
	failed  bool
	ended   int
}

func (r *report) read(from io.Reader) error {
	r.said, r.open, r.skipped, r.took = map[test]*strings.Builder{}, map[string]bool{}, map[string][]test{}, map[test]float64{}
	lines := bufio.NewReader(from)
	for {
		line, err := lines.ReadString('\n')
		var e event
		if json.Unmarshal([]byte(line), &e) == nil {
			r.take(e)
		} else {
			fmt.Fprint(r.out, line) // not an event: a message of go itself
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
	if e.Elapsed > 0 && t.name != "" && !strings.Contains(t.name, "/") {
		r.took[t] = e.Elapsed
	}
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

// output keeps the output of a test until the test ends, because only a failed one's is
// printed. It prints the output of a package at once, without the line that -v adds.
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

// end closes a test, or a package with all of its tests that are still open: if a package
// crashed or ran out of time, its tests have no end of their own.
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

// withoutProgress drops the lines that only -v prints.
func withoutProgress(text string) string {
	var kept strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "=== ") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// reasonOf finds the argument of t.Skip: "    file_test.go:12: the reason".
func reasonOf(said string) string {
	for line := range strings.Lines(said) {
		place, reason, found := strings.Cut(strings.TrimSpace(line), ": ")
		if found && strings.Contains(place, ".go:") {
			return reason
		}
	}
	return "no reason given"
}

// slowest is the number of tests named; a test that takes less than slow is not named.
const (
	slowest = 20
	slow    = 5 // seconds
)

func (r *report) tellSlowest() {
	tests := slices.SortedFunc(maps.Keys(r.took), func(a, b test) int { return cmp.Compare(r.took[b], r.took[a]) })
	for _, t := range tests[:min(len(tests), slowest)] {
		if r.took[t] >= slow {
			fmt.Fprintf(r.out, "%6.1f s  %s %s\n", r.took[t], path.Base(t.pkg), t.name)
		}
	}
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

// passed also checks that every package has ended: a go test that was killed reports no failure.
func (r *report) passed() bool { return !r.failed && len(r.open) == 0 && r.ended > 0 }
