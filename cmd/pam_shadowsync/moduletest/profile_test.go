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

// pam-auth-update puts our lines in the right places, with pam_pwquality before them and without it.
func TestDebianProfiles(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: a mount namespace of its own")
	}
	if _, err := exec.LookPath("pam-auth-update"); err != nil {
		t.Skip(err)
	}
	for name, c := range map[string]struct {
		pwquality string
		password  []string
	}{
		"pwquality":    {"testdata/pwquality", []string{"pam_pwquality.so", "pam_shadowsync.so judge", "pam_unix.so", "pam_deny.so", "pam_permit.so", "pam_shadowsync.so"}},
		"no pwquality": {"-", []string{"pam_shadowsync.so judge", "pam_unix.so", "pam_deny.so", "pam_permit.so", "pam_shadowsync.so"}},
	} {
		t.Run(name, func(t *testing.T) {
			password, auth := withProfiles(t, c.pwquality)
			wantModules(t, password, c.password...)
			wantModules(t, auth, "pam_unix.so", "pam_deny.so", "pam_permit.so", "pam_shadowsync.so")
			judge := password[slices.IndexFunc(password, func(line string) bool { return strings.HasSuffix(line, " judge") })]
			last := password[len(password)-1]
			if strings.Join(strings.Fields(judge), " ") != "password [authtok_err=die default=ignore] pam_shadowsync.so judge" ||
				strings.Join(strings.Fields(last), " ") != "password optional pam_shadowsync.so" {
				t.Errorf("our lines: %q, %q", judge, last)
			}
		})
	}
}

// withProfiles returns the lines of common-password and of common-auth.
func withProfiles(t *testing.T, pwquality string) (password, auth []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", "--mount", "--propagation", "private", "sh", "testdata/profile.sh", "../pam-configs", t.TempDir(), pwquality)
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	before, after, _ := strings.Cut(string(said), "# and for logins\n")
	return moduleLines(before), moduleLines(after)
}

// moduleLines returns the lines of a PAM stack that name a module.
func moduleLines(stack string) []string {
	return slices.DeleteFunc(strings.Split(stack, "\n"), func(line string) bool {
		return strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#")
	})
}

// wantModules checks that the stack holds these modules, in this order; others may stand between.
func wantModules(t *testing.T, lines []string, want ...string) {
	t.Helper()
	at := 0
	for _, line := range lines {
		words := strings.Fields(line[strings.Index(line, "pam_"):])
		if at < len(want) && strings.Join(words[:min(len(words), len(strings.Fields(want[at])))], " ") == want[at] {
			at++
		}
	}
	if at < len(want) {
		t.Errorf("%s is not where it must be:\n%s", want[at], strings.Join(lines, "\n"))
	}
}
