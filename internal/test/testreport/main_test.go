package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// tests are the tests of a sample package: their code, what must be printed, and what must not.
var tests = []struct {
	name, body string
	passes     bool
	has, hasNo []string
}{
	{"passing", `func TestGood(t *testing.T) { t.Log("quiet") }`, true, []string{"ok  \tsample"}, []string{"quiet", "PASS", "=== RUN"}},
	{
		"failing", `func TestBad(t *testing.T) { t.Run("part", func(t *testing.T) { t.Error("because") }) }
		func TestGood(t *testing.T) { t.Log("quiet") }`, false,
		[]string{"--- FAIL: TestBad", "because", "FAIL\tsample"},
		[]string{"quiet", "=== RUN"},
	},
	{
		"skipping", `func TestRoot(t *testing.T) { t.Skip("needs root") }`, true,
		[]string{"ok  \tsample", "left out, 1: needs root", "sample TestRoot"},
		nil,
	},
	{"panicking", `func TestCrash(t *testing.T) { panic("boom") }`, false, []string{"panic: boom", "FAIL\tsample"}, nil},
	{"exiting", `func TestExit(t *testing.T) { println("last words"); os.Exit(3) }`, false, []string{"FAIL\tsample"}, nil},
	{"not building", `func TestTypo(t *testing.T) { undefined() }`, false, []string{"undefined: undefined", "[build failed]"}, nil},
}

// TestReport reports on real packages.
func TestReport(t *testing.T) {
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			r := report{out: &out}
			if err := r.read(strings.NewReader(jsonOf(t, test.body))); err != nil {
				t.Fatal(err)
			}
			r.tellSkipped()
			if r.passed() != test.passes {
				t.Errorf("passed = %v, want %v", r.passed(), test.passes)
			}
			for _, text := range test.has {
				if !strings.Contains(out.String(), text) {
					t.Errorf("%q is missing in:\n%s", text, out.String())
				}
			}
			for _, text := range test.hasNo {
				if strings.Contains(out.String(), text) {
					t.Errorf("%q is in:\n%s", text, out.String())
				}
			}
		})
	}
}

// TestSlowest: the slowest test comes first, and a quick one is not named.
func TestSlowest(t *testing.T) {
	var out strings.Builder
	r := report{out: &out, took: map[test]float64{{"a/b", "TestQuick"}: 0.1, {"a/b", "TestSlow"}: 5.5, {"a/c", "TestSlower"}: 61}}
	r.tellSlowest()
	if want := "  61.0 s  c TestSlower\n   5.5 s  b TestSlow\n"; out.String() != want {
		t.Errorf("it tells\n%s", out.String())
	}
}

// TestCutOff: a go test that was killed in the middle has not passed.
func TestCutOff(t *testing.T) {
	whole := jsonOf(t, `func TestGood(t *testing.T) {}`)
	for _, cut := range []string{"", strings.SplitAfter(whole, "\n")[0]} {
		r := report{out: &strings.Builder{}}
		if err := r.read(strings.NewReader(cut)); err != nil {
			t.Fatal(err)
		}
		if r.passed() {
			t.Errorf("passed after %q", cut)
		}
	}
}

// jsonOf is what go test -json prints for a package with these tests.
func jsonOf(t *testing.T, body string) string {
	t.Helper()
	folder := t.TempDir()
	source := "package sample\n\nimport (\n\t\"os\"\n\t\"testing\"\n)\n\nvar _ = os.Args\n\n" + body + "\n"
	for name, text := range map[string]string{"go.mod": "module sample\n\ngo 1.24\n", "sample_test.go": source} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command := exec.CommandContext(t.Context(), "go", "test", "-json", "./...")
	command.Dir = folder
	command.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off", fmt.Sprintf("PWD=%s", folder))
	out, _ := command.Output() // the events say the same as its exit status
	return string(out)
}
