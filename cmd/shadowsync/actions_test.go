package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// named finds where the sources name an action or a verdict.
var named = regexp.MustCompile(`(?:Action|[aA]ction\w*|Verdict\w* +Verdict|Action, \w+\.Reason)(?::| *:?=) *"([a-z-]+)"|tell\("([a-z-]+)", [^"]|changeGuard\(.*, "([a-z-]+)", func|"(?:setup|remove)": "([a-z-]+)"`)

// Every action that the sources name is explained in the help of audit.
func TestActionsAreExplained(t *testing.T) {
	s := newSystem(t)
	help, found := s.must(0, "audit", "--help").out, map[string]bool{"refused": true, "failed": true}
	for _, folder := range []string{".", "../../shadowsync", "../../internal/factor", "../../internal/state", "../../internal/engine", "../../internal/broker", "../../internal/admin"} {
		if err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			for _, m := range named.FindAllStringSubmatch(string(text), -1) {
				found[m[1]+m[2]+m[3]+m[4]] = true
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	delete(found, string(shadowsync.VerdictNothing)) // no event
	if len(found) < 40 {
		t.Errorf("the sources name only %v", found)
	}
	for action := range found {
		if !strings.Contains(help, "\n  "+action+" ") {
			t.Errorf("%s is not explained in\n%s", action, help)
		}
	}
	for _, a := range actions {
		if !found[a[0]] {
			t.Errorf("%s is explained, and nothing names it", a[0])
		}
	}
	for line := range strings.Lines(actionsHelp()) {
		if len(strings.TrimSuffix(line, "\n")) > 88 {
			t.Errorf("too wide: %q", line)
		}
	}
}
