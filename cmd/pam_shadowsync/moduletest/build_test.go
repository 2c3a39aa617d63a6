// Package moduletest tests pam_shadowsync.so inside a real PAM stack, with a peer that misbehaves on purpose.
//
// The module is built twice: as released, and with the address and undefined-behaviour sanitizers. In both builds the
// run directory is "run" and root's state is "home". They, the program, passwd(5) and shadow(5) are below the working
// directory, so that each scene has its own. The tests need root, because the module trusts only root's files and peers.
package moduletest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var (
	releaseFlags  = strings.Fields("-std=c11 -O2 -Wall -Wextra -Wconversion -Werror -D_FORTIFY_SOURCE=2 -fstack-protector-strong -Wl,-z,relro,-z,now,-z,defs")
	sanitizeFlags = strings.Fields("-std=c11 -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all")
	moduleFlags   = strings.Fields("-fPIC -shared -fvisibility=hidden")
	testPaths     = []string{
		`-DSHADOWSYNC_RUN_DIR="run"`, `-DSHADOWSYNC_PASSWD="passwd"`, `-DSHADOWSYNC_SHADOW="shadow"`,
		`-DSHADOWSYNC_HOME="home"`, `-DSHADOWSYNC_PROGRAM="program"`,
	}
)

// A build is one set of binaries: host program, stack and modules.
type build struct {
	name string
	host string
	// confDir holds the PAM stacks with absolute paths to this build's modules.
	confDir string
}

var release, sanitized build

func TestMain(m *testing.M) {
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "pam_shadowsync")
	if err == nil {
		defer os.RemoveAll(dir)
		release, err = newBuild(dir, "release", releaseFlags)
	}
	if err == nil {
		sanitized, err = newBuild(dir, "sanitized", sanitizeFlags)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func newBuild(parent, name string, flags []string) (build, error) {
	dir := filepath.Join(parent, name)
	b := build{name: name, host: filepath.Join(dir, "host"), confDir: filepath.Join(dir, "pam.d")}
	if err := os.MkdirAll(b.confDir, 0o755); err != nil {
		return b, err
	}
	module, store := filepath.Join(dir, "pam_shadowsync.so"), filepath.Join(dir, "fakestore.so")
	err := compile(module, append(slices.Concat(flags, moduleFlags, testPaths), sources()...))
	if err == nil {
		err = compile(store, append(slices.Clone(sanitizeOnly(flags)), "-fPIC", "-shared", "testdata/fakestore.c"))
	}
	if err == nil {
		err = compile(b.host, append(slices.Clone(sanitizeOnly(flags)), "-rdynamic", "testdata/host.c"))
	}
	if err != nil {
		return b, err
	}
	return b, b.writeStacks(module, store)
}

// writeStacks writes the stacks of passwd, with and without a judgement, and the stack of a login. If the module returns
// anything but PAM_IGNORE, or a refusal as the judge, default=die or default=bad fails the stack, and so the scene.
func (b build) writeStacks(module, store string) error {
	const announce = "password required STORE\npassword [ignore=ignore default=die] MODULE\npassword required STORE lift\n"
	// The line that lifts the limits again has no say, so that a login succeeds by the others alone.
	const factor = "auth [success=1 default=ignore] MODULE factor key\nauth substack CONFDIR/first\nauth required MODULE factor\nauth [default=ignore] STORE lift\n" +
		"account required MODULE factor\naccount required STORE lift\n"
	stacks := map[string]string{
		"host":   announce,
		"judged": "password required STORE\npassword [ignore=ignore authtok_err=die default=bad] MODULE judge\n" + announce,
		"login":  "auth required STORE\nauth [ignore=ignore default=die] MODULE\nauth required STORE lift\n",
		"first":  "auth requisite STORE\nauth [ignore=ignore default=die] MODULE\n",
		"sshd":   factor,
		"keeper": factor,                                          // of a host that keeps texts until the next question
		"early":  "auth sufficient STORE\nauth required MODULE\n", // which leaves the substack before our line
		"gap":    "auth substack CONFDIR/early\nauth required MODULE factor\naccount required STORE\n",
	}
	paths := strings.NewReplacer("STORE", store, "MODULE", module, "CONFDIR", b.confDir)
	for name, stack := range stacks {
		if err := os.WriteFile(filepath.Join(b.confDir, name), []byte(paths.Replace(stack)), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// sanitizeOnly drops -Wconversion: only the module needs it, because the test's helpers are not released.
func sanitizeOnly(flags []string) []string {
	return slices.DeleteFunc(slices.Clone(flags), func(flag string) bool { return flag == "-Wconversion" })
}

func sources() []string {
	files, err := filepath.Glob("../*.c")
	if err != nil || len(files) == 0 {
		panic("the module's sources are not beside the test")
	}
	return files
}

func compile(out string, args []string) error {
	cmd := exec.Command("gcc", append(args, "-o", out, "-lpam")...)
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build %s: %w\n%s", filepath.Base(out), err, said)
	}
	return nil
}

func TestExportsEntriesAlone(t *testing.T) {
	module := filepath.Join(filepath.Dir(release.confDir), "pam_shadowsync.so")
	said, err := exec.Command("nm", "-D", "--defined-only", "--format=posix", module).Output()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(said)) {
		names = append(names, strings.Fields(line)[0])
	}
	slices.Sort(names)
	if want := []string{"pam_sm_acct_mgmt", "pam_sm_authenticate", "pam_sm_chauthtok", "pam_sm_setcred"}; !slices.Equal(names, want) {
		t.Errorf("exported symbols: %q, want %q", names, want)
	}
}
