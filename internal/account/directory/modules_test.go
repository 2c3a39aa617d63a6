package directory

import (
	"errors"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/account/shadowfile"
)

// built are modules, of testdata: "fake" answers, "torn" cannot be loaded.
func built(t *testing.T) modules {
	t.Helper()
	m := modules{folder: t.TempDir() + "/"}
	for name, flags := range map[string][]string{"fake": nil, "torn": {"-DTORN", "-Wl,-z,now"}} {
		out := filepath.Join(m.folder, "libnss_"+name+".so.2")
		args := slices.Concat([]string{"-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-o", out, "testdata/module.c"}, flags)
		if said, err := exec.CommandContext(t.Context(), "gcc", args...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
	}
	return m
}

// TestModules: what a module says is told as it is.
func TestModules(t *testing.T) {
	m := built(t)
	anna := shadowfile.Person{Name: "anna", UID: 7001, GID: 7000, FullName: "Anna", Home: "/home/anna", Shell: "/bin/sh"}
	for _, k := range []key{{name: "anna"}, {id: 7001}} {
		if p, err := m.person("fake", k); err != nil || p.Name != anna.Name || p.UID != anna.UID || p.GID != anna.GID ||
			p.FullName != anna.FullName || p.Home != anna.Home || p.Shell != anna.Shell {
			t.Errorf("%v: %+v, %v", k, p, err)
		}
	}
	for _, k := range []key{{name: "large"}, {id: 7100}} {
		if g, err := m.group("fake", k); err != nil || g != (group{"large", 7100}) {
			t.Errorf("%v: %+v, %v", k, g, err)
		}
	}
	many, err := m.memberships("fake", "anna", 7000)
	if err != nil || len(many) != 1000 || many[0] != 8000 || many[999] != 8999 {
		t.Errorf("memberships: %d, %v", len(many), err)
	}
	if odd, err := m.person("fake", key{name: "an\xffna:"}); err != nil || odd.Name != "an\xffna:" {
		t.Errorf("odd bytes: %+v, %v", odd, err)
	}
}

func TestModulesWithoutAnAnswer(t *testing.T) {
	m := built(t)
	ask := map[string]func(service string, k key) error{
		"person":      func(service string, k key) error { _, err := m.person(service, k); return err },
		"group":       func(service string, k key) error { _, err := m.group(service, k); return err },
		"memberships": func(service string, k key) error { _, err := m.memberships(service, k.name, 1); return err },
	}
	for _, tt := range []struct {
		service, name string
		id            int
		is            error
		says          string
	}{
		{"fake", "nobody", 0, errMissing, ""},
		{"fake", "stopped", 0, errSilent, ""},
		{"fake", "again", 0, errSilent, ""},
		{"fake", "quiet", 0, errSilent, ""}, // and errno says nothing
		{"absent", "anna", 0, errMissing, ""},
		{"torn", "anna", 0, nil, "its module cannot be loaded: "},
	} {
		for what, one := range ask {
			err := one(tt.service, key{tt.name, tt.id})
			if err == nil || tt.is != nil && !errors.Is(err, tt.is) || tt.is == nil && (errors.Is(err, errMissing) || !strings.Contains(err.Error(), tt.says)) {
				t.Errorf("%s %s of %s: %v", what, tt.name, tt.service, err)
			}
		}
	}
	if _, err := m.group("fake", key{name: "endless"}); err == nil || errors.Is(err, errMissing) || !strings.Contains(err.Error(), "more than 16 MiB") {
		t.Errorf("a group that fits nowhere: %v", err)
	}
}
