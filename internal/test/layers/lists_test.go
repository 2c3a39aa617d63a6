package layers

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// mostUnlisted is how many files a package may have before its comment lists them.
const mostUnlisted = 3

// listed and fileName find the names of files in a line of a package comment's list:
// "//	lock.go, lockfile.go  what they hold", or "...; other.go what that one holds".
var (
	listed   = regexp.MustCompile(`(?m)^\t[\w.]+\.go\b.*$`)
	fileName = regexp.MustCompile(`\b\w+\.go\b`)
)

// TestFileLists compares the list of files in each package's comment with the folder. Each
// command of the tool has its own file, which is not listed.
func TestFileLists(t *testing.T) {
	for _, folder := range packages(t) {
		comment, files := sources(t, folder)
		var names []string
		for _, line := range listed.FindAllString(comment, -1) {
			names = append(names, fileName.FindAllString(line, -1)...)
		}
		if len(names) == 0 {
			if len(files) > mostUnlisted {
				t.Errorf("%s: its comment does not list its %d files", folder, len(files))
			}
			continue
		}
		for _, name := range names {
			if _, err := os.Stat(filepath.Join("../../..", folder, name)); err != nil {
				t.Errorf("%s: its comment lists %s, which is not there", folder, name)
			}
		}
		for _, file := range files {
			if !slices.Contains(names, file) && file != "doc.go" && !isCommand(t, folder, file) {
				t.Errorf("%s: its comment does not list %s", folder, file)
			}
		}
	}
}

// sources returns a package's comment and its files without the tests.
func sources(t *testing.T, folder string) (comment string, files []string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("../../..", folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		files = append(files, filepath.Base(path))
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.PackageClauseOnly)
		if err != nil {
			t.Fatal(err)
		}
		if file.Doc != nil {
			comment += rawText(file.Doc)
		}
	}
	return comment, files
}

// rawText is a comment without its slashes, and otherwise unchanged.
func rawText(doc *ast.CommentGroup) (text string) {
	for _, line := range doc.List {
		text += strings.TrimPrefix(line.Text, "//") + "\n"
	}
	return text
}

// isCommand reports whether a file holds a command of the tool.
func isCommand(t *testing.T, folder, file string) bool {
	t.Helper()
	if folder != "cmd/shadowsync" {
		return false
	}
	text, err := os.ReadFile(filepath.Join("../../..", folder, file))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(text), "*cobra.Command {")
}
