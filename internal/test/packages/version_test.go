package packages

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A tag is the version. What follows it sorts above it, and below the next one.
func TestVersion(t *testing.T) {
	t.Parallel()
	script, err := filepath.Abs(filepath.Join(top, "internal/admin/packages/version"))
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	git := func(args ...string) string {
		t.Helper()
		return strings.TrimSpace(run(t, "git", append([]string{"-C", folder, "-c", "user.name=x", "-c", "user.email=x@example.org"}, args...)...))
	}
	version := func() string {
		t.Helper()
		command := exec.CommandContext(t.Context(), script)
		command.Dir = folder
		out, err := command.Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	git("init", "--quiet")
	var rising []string
	for _, step := range []struct{ tag, want string }{
		{"", "0.0.0+git1.g"},
		{"", "0.0.0+git2.g"},
		{"v0.9.0", "0.9.0"},
		{"", "0.9.0+git1.g"},
		{"", "0.9.0+git2.g"},
		{"0.9.1", "0.9.1"},
		{"", "0.9.1+git1.g"},
	} {
		git("commit", "--quiet", "--allow-empty", "--message", "x")
		if step.tag != "" {
			git("tag", step.tag)
		}
		want := step.want
		if strings.HasSuffix(want, ".g") {
			want += git("rev-parse", "--short=7", "HEAD")
		}
		got := version()
		if got != want {
			t.Errorf("the version is %s, want %s", got, want)
		}
		rising = append(rising, got)
	}
	for i, above := range rising[1:] {
		run(t, "dpkg", "--compare-versions", rising[i], "lt", above)
	}
}
