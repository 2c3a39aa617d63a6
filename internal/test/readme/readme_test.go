package readme

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const top = "../../.."

// mostWords can be read in about two and a half minutes, pictures and code included.
const mostWords = 1000

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(top, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// documents are the files for users: the README and the reference.
func documents(t *testing.T) []string {
	t.Helper()
	pages, err := filepath.Glob(filepath.Join(top, "docs", "*.md"))
	if err != nil || len(pages) < 5 {
		t.Fatalf("%d pages in docs/, %v", len(pages), err)
	}
	names := []string{"README.md"}
	for _, page := range pages {
		names = append(names, filepath.Join("docs", filepath.Base(page)))
	}
	return names
}

// firstColumns returns the first cell of each row of the table whose first heading is head.
func firstColumns(t *testing.T, document, head string) []string {
	t.Helper()
	_, table, found := strings.Cut(read(t, document), "\n| "+head+" |")
	if !found {
		t.Fatalf("%s has no table %q", document, head)
	}
	var cells []string
	for i, line := range strings.Split(table, "\n") {
		if i < 2 { // the rest of the heading, and the line below it
			continue
		}
		cell, rest, isRow := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
		if !isRow || rest == "" {
			break
		}
		cells = append(cells, cell)
	}
	return cells
}

func TestReadmeIsShort(t *testing.T) {
	if n := len(strings.Fields(read(t, "README.md"))); n >= mostWords {
		t.Errorf("README.md has %d words, the most are %d: move reference to docs/", n, mostWords)
	}
}

// TestReadmeNamesEveryPage: nobody finds a page that the README does not link.
func TestReadmeNamesEveryPage(t *testing.T) {
	text := read(t, "README.md")
	for _, page := range documents(t)[1:] {
		if !strings.Contains(text, "]("+page+")") {
			t.Errorf("README.md has no link to %s", page)
		}
	}
}

// TestTargets: the Makefile has every target that the documents name.
func TestTargets(t *testing.T) {
	makefile := read(t, "Makefile")
	for _, document := range append(documents(t), "CONTRIBUTING.md") {
		for _, match := range regexp.MustCompile("(?m)(?:^    |`)make ([a-z]+)").FindAllStringSubmatch(read(t, document), -1) {
			if !regexp.MustCompile(`(?m)^` + match[1] + `:`).MatchString(makefile) {
				t.Errorf("%s tells of make %s, which is not there", document, match[1])
			}
		}
	}
}

var link = regexp.MustCompile(`\]\(([^)#:]*)(?:#([^):]+))?\)`)

// TestLinks: the files and headings that the documents link to exist.
func TestLinks(t *testing.T) {
	found := 0
	for _, document := range append(documents(t), "CONTRIBUTING.md", "CHANGELOG.md") {
		for _, parts := range link.FindAllStringSubmatch(read(t, document), -1) {
			found++
			target := document
			if parts[1] != "" {
				target = filepath.Join(filepath.Dir(document), parts[1])
			}
			if _, err := os.Stat(filepath.Join(top, target)); err != nil {
				t.Errorf("%s: %v", document, err)
			} else if parts[2] != "" && !slices.Contains(anchors(read(t, target)), parts[2]) {
				t.Errorf("%s: %s has no heading #%s", document, target, parts[2])
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d links are found", found)
	}
}

// anchors are the names of the headings in links, as GitHub and GitLab make them.
func anchors(text string) (names []string) {
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(text, -1) {
		plain := regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(heading[1]), "")
		names = append(names, strings.ReplaceAll(plain, " ", "-"))
	}
	return names
}

func equal(t *testing.T, what string, told, want []string) {
	t.Helper()
	if len(want) == 0 {
		t.Fatalf("no %s are found: the test looks at the wrong place", what)
	}
	for _, one := range want {
		if !slices.Contains(told, one) {
			t.Errorf("%s: the documents do not tell of %q", what, one)
		}
	}
	for _, one := range told {
		if !slices.Contains(want, one) {
			t.Errorf("%s: the documents tell of %q, which is not there", what, one)
		}
	}
}
