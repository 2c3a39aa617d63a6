package readme

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// program builds the root tool once; the tests run it for its help and its pages.
func program(t *testing.T) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var folder string

var build = sync.OnceValues(func() (string, error) {
	path := filepath.Join(folder, "shadowsync")
	out, err := exec.Command("go", "build", "-trimpath", "-buildmode=pie", "-tags", "docs", "-o", path, top+"/cmd/shadowsync").CombinedOutput()
	if err != nil {
		return "", &failure{"go build", err, out}
	}
	out, err = exec.Command(path, "docs", "man", filepath.Join(folder, "man")).CombinedOutput()
	if err != nil {
		return "", &failure{"docs man", err, out}
	}
	return path, nil
})

type failure struct {
	what string
	err  error
	out  []byte
}

func (f *failure) Error() string { return f.what + ": " + f.err.Error() + "\n" + string(f.out) }

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if folder, err = os.MkdirTemp("", "shadowsync-readme-"); err != nil {
			panic(err)
		}
		defer os.RemoveAll(folder)
		return m.Run()
	}())
}

// page is the text of a man page, as roff.
func page(t *testing.T, name string) string {
	t.Helper()
	program(t)
	text, err := os.ReadFile(filepath.Join(folder, "man", "man"+name[strings.LastIndexByte(name, '.')+1:], name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// commands are all commands by their path, as in "shadowsync user list".
func commands(t *testing.T) (names []string) {
	t.Helper()
	program(t)
	pages, err := filepath.Glob(filepath.Join(folder, "man", "man8", "*.8"))
	if err != nil || len(pages) == 0 {
		t.Fatalf("no man pages: %v", err)
	}
	for _, page := range pages {
		names = append(names, strings.ReplaceAll(strings.TrimSuffix(filepath.Base(page), ".8"), "-", " "))
	}
	return names
}

// groups are commands that only contain other commands.
var groups = []string{
	"shadowsync", "shadowsync guard", "shadowsync config", "shadowsync store",
	"shadowsync user", "shadowsync user set", "shadowsync user reset", "shadowsync user expire",
	"shadowsync user enrol", "shadowsync user check", "shadowsync user renew", "shadowsync user renew 2fa",
}

// TestCommands: there is a man page for each command, with the exit statuses, and a line in the table.
func TestCommands(t *testing.T) {
	var want []string
	for _, command := range commands(t) {
		if !strings.Contains(page(t, strings.ReplaceAll(command, " ", "-")+".8"), "a person must decide") {
			t.Errorf("the page of %s has no exit statuses", command)
		}
		if !slices.Contains(groups, command) && !strings.HasPrefix(command, "shadowsync completion") {
			want = append(want, command)
		}
	}
	var told []string
	for _, cell := range firstColumns(t, "docs/commands.md", "command") {
		told = append(told, strings.Trim(cell, "`"))
	}
	equal(t, "commands", told, want)
}

// TestReferenceIsInstalled: every page of docs/ is a man page, with its title and its text.
func TestReferenceIsInstalled(t *testing.T) {
	for _, document := range documents(t)[1:] {
		name := "shadowsync-" + strings.TrimSuffix(filepath.Base(document), ".md") + ".7"
		if document == "docs/configuration.md" {
			name = "shadowsync.toml.5"
		}
		text := page(t, name)
		title, _, _ := strings.Cut(strings.TrimPrefix(read(t, document), "# "), "\n")
		plain := strings.NewReplacer(`\-`, "-", `\&`, "", `\(hy`, "-").Replace(text)
		if !strings.Contains(plain, strings.ReplaceAll(title, "`", "")) || strings.Contains(text, ".md") || !strings.Contains(text, ".SH SEE ALSO") {
			t.Errorf("%s: no title, no SEE ALSO, or a link to Markdown:\n%.600s", name, text)
		}
	}
}

func TestExitStatuses(t *testing.T) {
	help, err := exec.CommandContext(t.Context(), program(t), "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(help), "Exit status:\n")
	if !found {
		t.Fatalf("--help has no exit statuses:\n%s", help)
	}
	var want []string
	for line := range strings.Lines(table) {
		status, means, _ := strings.Cut(strings.TrimSpace(line), " ")
		want = append(want, status+" | "+strings.TrimSpace(means))
	}
	var told []string
	for row := range strings.Lines(read(t, "docs/commands.md")) {
		if cells := regexp.MustCompile(`^\| (\d+ \| .*) \|\n$`).FindStringSubmatch(row); cells != nil {
			told = append(told, cells[1])
		}
	}
	equal(t, "exit statuses", told, want)
}

// shown are the command lines in code, inline or in blocks.
var shown = regexp.MustCompile("(?m)(?:^    |`|&& )(shadowsync [^`#|\n]*)")

// TestShownCommands: in each command line that a document shows, the command exists and has
// the options.
func TestShownCommands(t *testing.T) {
	known, found := commands(t), 0
	for _, document := range documents(t) {
		text := strings.ReplaceAll(read(t, document), "\\\n", " ")
		for _, line := range shown.FindAllStringSubmatch(text, -1) {
			found++
			command, options := split(line[1], known)
			if command == "shadowsync" && len(options) == 0 || slices.Contains(groups[1:], command) {
				t.Errorf("%s shows %q: there is no such command", document, line[1])
				continue
			}
			manual := strings.ReplaceAll(page(t, strings.ReplaceAll(command, " ", "-")+".8"), `\-`, "-")
			for _, option := range options {
				if !regexp.MustCompile(regexp.QuoteMeta(option) + `\b`).MatchString(manual) {
					t.Errorf("%s shows %q: %s has no option %s", document, line[1], command, option)
				}
			}
		}
	}
	if found < 30 {
		t.Errorf("only %d command lines are found", found)
	}
}

// TestOptionsInTables: each option in a row of a table of commands is an option of the row's command.
func TestOptionsInTables(t *testing.T) {
	found := 0
	for _, document := range []string{"README.md", "docs/commands.md"} {
		for _, row := range regexp.MustCompile("(?m)^\\| `(shadowsync [a-z ]+)` \\| (.*) \\|$").FindAllStringSubmatch(read(t, document), -1) {
			for _, option := range regexp.MustCompile(`--[a-z-]+`).FindAllString(row[2], -1) {
				found++
				manual := strings.ReplaceAll(page(t, strings.ReplaceAll(row[1], " ", "-")+".8"), `\-`, "-")
				if !regexp.MustCompile(regexp.QuoteMeta(option) + `\b`).MatchString(manual) {
					t.Errorf("%s: %s has no option %s", document, row[1], option)
				}
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d options are found", found)
	}
}

// split returns the longest known command at the start of a command line, and the line's options.
func split(line string, known []string) (command string, options []string) {
	command = "shadowsync"
	words := strings.Fields(strings.Split(line, "&&")[0])[1:]
	for i, word := range words {
		word = strings.Trim(word, ".,;:)")
		switch {
		case strings.HasPrefix(word, "--"):
			option, _, _ := strings.Cut(word, "=")
			options = append(options, option)
		case slices.Contains(known, command+" "+word) && (i == 0 || words[i-1] != "--root"):
			command += " " + word
		}
	}
	return command, options
}
