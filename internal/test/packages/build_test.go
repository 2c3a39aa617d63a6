package packages

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

const top = "../../.."

// names are the packages.
var names = []string{"shadowsync", "shadowsync-pcli", "shadowsync-web"}

// dist has the packages of HEAD.
var dist string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		folder, err := os.MkdirTemp("", "shadowsync-packages-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(folder)
		dist = folder
		return m.Run()
	}())
}

var build = sync.OnceValue(func() error { return makePackages(top, dist, "packages") })

// makePackages runs a target of the Makefile in a clone of the project.
func makePackages(clone, into, target string, variables ...string) error {
	command := exec.Command("make", append([]string{"--no-print-directory", "-C", clone, target, "PACKAGES_DIR=" + into}, variables...)...)
	command.Env = append(os.Environ(), "MAKEFLAGS=", "MAKELEVEL=") // independent of a make test that runs this test
	if out, err := command.CombinedOutput(); err != nil {
		return errors.New("make " + target + ": " + err.Error() + "\n" + string(out))
	}
	return nil
}

// need builds the packages, where a machine can be booted: both take the same of a host.
func need(t *testing.T) {
	t.Helper()
	machine.Need(t)
	if err := build(); err != nil {
		t.Fatal(err)
	}
}

// built returns the folder of the packages.
func built(t *testing.T) string {
	t.Helper()
	need(t)
	return dist
}

// file returns the one file of a folder that a pattern matches.
func file(t *testing.T, folder, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(folder, pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %v, %v", pattern, found, err)
	}
	return found[0]
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	var out, said bytes.Buffer
	command := exec.CommandContext(t.Context(), name, args...)
	command.Stdout, command.Stderr = &out, &said
	if err := command.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, said.String())
	}
	return out.String()
}

// clone makes a copy of the project at HEAD.
func clone(t *testing.T) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "elsewhere", "clone")
	run(t, "git", "clone", "--quiet", top, folder)
	return folder
}

// unpacked is a .deb's content.
func unpacked(t *testing.T, deb string) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "content")
	run(t, "dpkg-deb", "--raw-extract", deb, folder)
	return folder
}

func digest(t *testing.T, path string) [sha256.Size]byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(content)
}

// Built again in another folder, a package is the same, byte for byte.
func TestTwoFolders(t *testing.T) {
	t.Parallel()
	need(t)
	second := t.TempDir()
	if err := makePackages(clone(t), second, "packages", "ARCHITECTURES=amd64"); err != nil {
		t.Fatal(err)
	}
	built, err := filepath.Glob(filepath.Join(second, "shadowsync*"))
	if err != nil || len(built) != 2*len(names) {
		t.Fatalf("built %v, %v", built, err)
	}
	for _, path := range built {
		if digest(t, path) != digest(t, filepath.Join(dist, filepath.Base(path))) {
			t.Errorf("%s differs", filepath.Base(path))
		}
	}
}

// The packages hold what make install installs, byte for byte.
func TestPackagesAreWhatMakeInstalls(t *testing.T) {
	t.Parallel()
	need(t)
	if release, err := os.ReadFile("/etc/os-release"); err != nil || !bytes.Contains(release, []byte(`VERSION_ID="12"`)) {
		t.Skip("the packages are compiled on Debian 12: this host has another compiler")
	}
	stage := filepath.Join(t.TempDir(), "stage")
	if err := makePackages(clone(t), dist, "install", "DESTDIR="+stage); err != nil {
		t.Fatal(err)
	}
	var packed []string
	for _, name := range names {
		packed = append(packed, unpacked(t, file(t, dist, name+"_*_amd64.deb")))
	}
	compared := 0
	for path := range strings.Lines(run(t, "find", stage, "-type", "f", "-not", "-path", "*/man/*", "-printf", "/%P\n")) {
		path = strings.TrimSpace(path)
		found := false
		for _, folder := range packed {
			if _, err := os.Stat(folder + path); err == nil {
				found = digest(t, stage+path) == digest(t, folder+path)
			}
		}
		if !found {
			t.Errorf("no package has %s as make install installs it", path)
		}
		compared++
	}
	if compared < 15 {
		t.Errorf("compared only %d files", compared)
	}
}

// Everything that is built is in the list of checksums, and is of both architectures.
func TestChecksums(t *testing.T) {
	t.Parallel()
	need(t)
	sums, err := os.ReadFile(filepath.Join(dist, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS")
	command.Dir = dist
	if out, err := command.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	for _, ending := range []string{"_amd64.deb", "_arm64.deb", ".x86_64.rpm", ".aarch64.rpm"} {
		for _, name := range names {
			if !strings.Contains(string(sums), name) || strings.Count(string(sums), ending) != len(names) {
				t.Errorf("SHA256SUMS lacks %s of %s:\n%s", ending, name, sums)
			}
		}
	}
}

// What is for another architecture is compiled for it.
func TestMachineOfEachFile(t *testing.T) {
	t.Parallel()
	need(t)
	tool, shell := unpacked(t, file(t, dist, "shadowsync_*_arm64.deb")), unpacked(t, file(t, dist, "shadowsync-pcli_*_arm64.deb"))
	for _, path := range []string{tool + "/usr/sbin/shadowsync", shell + "/usr/bin/pcli", tool + "/usr/lib/aarch64-linux-gnu/security/pam_shadowsync.so"} {
		if header := run(t, "readelf", "--file-header", path); !strings.Contains(header, "AArch64") {
			t.Errorf("%s:\n%s", path, header)
		}
	}
}
