package faillock

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// tally returns what pam_faillock writes after this many refusals; the first record is no longer
// valid.
func tally(refused int) string {
	text := make([]byte, refused*recordSize)
	for i := 1; i < refused; i++ {
		binary.NativeEndian.PutUint16(text[i*recordSize+statusOffset:], statusValid)
	}
	return string(text)
}

func TestDirs(t *testing.T) {
	root := t.TempDir()
	if got := Of(root).dirs; !slices.Equal(got, []string{"/var/run/faillock"}) {
		t.Errorf("without configuration: %q", got)
	}
	write(t, root+"/etc/security/faillock.conf", "# dir = /no\ndeny=3\ndir = /var/lib/faillock\n")
	write(t, root+"/etc/pam.d/login", "auth required pam_faillock.so preauth dir=/run/other deny=5 # dir=/no\nauth required pam_unix.so dir=/no\n")
	write(t, root+"/etc/pam.d/sshd", "auth required pam_faillock.so authfail dir=/run/other\nauth required pam_faillock.so dir=relative\n")
	if got := Of(root).dirs; !slices.Equal(got, []string{"/var/lib/faillock", "/run/other"}) {
		t.Errorf("got %q", got)
	}
	// Options as the module reads them: conf= anywhere in a line, and dir= before it.
	write(t, root+"/etc/security/own.conf", "  dir=/var/lib/own # comment\ndirectory = /no\ndir relative\n")
	write(t, root+"/etc/pam.d/su", "account required pam_faillock.so conf=/etc/security/own.conf\n")
	write(t, root+"/etc/pam.d/cron", "auth required /lib/security/pam_faillock.so dir=/run/a dir=/run/b conf=/etc/security/own.conf\n")
	write(t, root+"/etc/pam.d/sudo", "auth required pam_faillock.so [dir=/run/with space]\n@include /opt/pam/extra\n")
	write(t, root+"/opt/pam/extra", "auth required pam_faillock.so conf=/etc/security/none.conf\n")
	want := []string{"/run/b", "/run/other", "/run/with space", "/var/lib/faillock", "/var/lib/own", "/var/run/faillock"}
	if got := slices.Sorted(slices.Values(Of(root).dirs)); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCountAndClear(t *testing.T) {
	root := t.TempDir()
	if n, err := Of(root).Clear("admin"); n != 0 || err != nil {
		t.Errorf("without a file: %d, %v", n, err)
	}
	if err := os.MkdirAll(root+"/var", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/run", root+"/var/run"); err != nil { // as on every machine
		t.Fatal(err)
	}
	path := root + "/run/faillock/admin"
	write(t, path, tally(5)+"cut off")
	if n, err := Of(root).Count("admin"); n != 4 || err != nil {
		t.Errorf("counted %d, %v", n, err)
	}
	if n, err := Of(root).Clear("admin"); n != 4 || err != nil {
		t.Errorf("cleared %d, %v", n, err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() != 0 {
		t.Errorf("left %v, %v", info, err)
	}
}

// TestOnlyItsOwnFile: neither a name that contains a path nor a link leads elsewhere.
func TestOnlyItsOwnFile(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/victim", tally(3))
	write(t, root+defaultDir+"/other", "")
	if err := os.Symlink(root+"/victim", root+defaultDir+"/admin"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "..", "../../../victim", "admin"} {
		if _, err := Of(root).Clear(name); err == nil {
			t.Errorf("%q was used", name)
		}
	}
	if info, err := os.Stat(root + "/victim"); err != nil || info.Size() == 0 {
		t.Errorf("the victim: %v, %v", info, err)
	}
}
