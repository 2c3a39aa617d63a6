package moduletest

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestDebianProfile(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: a mount namespace of its own")
	}
	if _, err := exec.LookPath("pam-auth-update"); err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", "--mount", "--propagation", "private", "sh", "testdata/profile.sh", "../pam-configs/shadowsync", t.TempDir())
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	lines := moduleLines(string(said))
	unix, ours := index(lines, "pam_unix.so"), index(lines, "pam_shadowsync.so")
	if unix < 0 || ours < unix || ours != len(lines)-1 || !slices.Equal(strings.Fields(lines[ours]), []string{"password", "optional", "pam_shadowsync.so"}) {
		t.Errorf("common-password with the profile on:\n%s", strings.Join(lines, "\n"))
	}
}

// moduleLines leaves the lines of a PAM stack that name a module.
func moduleLines(stack string) []string {
	return slices.DeleteFunc(strings.Split(stack, "\n"), func(line string) bool {
		return strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#")
	})
}

func index(lines []string, module string) int {
	return slices.IndexFunc(lines, func(line string) bool { return strings.Contains(line, module) })
}
