package layers

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// fewestAnswers is the least number of answers in CONTRIBUTING.md, and mostFiles the most files that one names.
const (
	fewestAnswers = 8
	mostFiles     = 2
)

var (
	quoted   = regexp.MustCompile("`([^`]+)`")
	isFile   = regexp.MustCompile(`^[\w./-]+/[\w.]+\.(go|c)$`)
	isSymbol = regexp.MustCompile(`^\w+$`)
)

// TestWhere: the files that the answers in CONTRIBUTING.md name exist, and declare the names that
// follow them.
func TestWhere(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("../../..", "CONTRIBUTING.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Where …?\n")
	section, _, _ = strings.Cut(section, "\n## ")
	answers := strings.Split(section, "\n- **")[1:]
	if len(answers) < fewestAnswers {
		t.Fatalf("%d answers, at least %d were there", len(answers), fewestAnswers)
	}
	for _, one := range answers {
		question, answer, _ := strings.Cut(one, "**")
		file, files, source := "", 0, ""
		for _, word := range quoted.FindAllStringSubmatch(answer, -1) {
			switch name := word[1]; {
			case isFile.MatchString(name):
				content, err := os.ReadFile(filepath.Join("../../..", name))
				if err != nil {
					t.Errorf("%s: %v", question, err)
				}
				file, source = name, string(content)
				files++
			case isSymbol.MatchString(name) && file != "":
				if !declares(source, name) {
					t.Errorf("%s: %s does not declare %s", question, file, name)
				}
			default:
				t.Errorf("%s: %q is neither a file nor a name in one", question, name)
			}
		}
		if files == 0 || files > mostFiles {
			t.Errorf("%s: the answer names %d files", question, files)
		}
	}
}

// declares reports whether a source of Go or C declares a function, type or variable.
func declares(source, name string) bool {
	name = regexp.QuoteMeta(name)
	return regexp.MustCompile(`(?m)^(func (\([^)]*\) )?` + name + `[\[(]|(type|var|const) ` + name + `\b|[a-z_].*\b` + name + `\([^;]*$)`).MatchString(source)
}
