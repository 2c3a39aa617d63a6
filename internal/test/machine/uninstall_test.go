package machine

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tree lists every file and folder under a folder.
func tree(t *testing.T, folder string) (names []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(folder), ".", func(name string, _ fs.DirEntry, err error) error {
		names = append(names, name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// put writes files under a folder.
func put(t *testing.T, folder string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestUninstall: make uninstall undoes make install. It leaves other files, the configuration and
// the state, and refuses while PAM or a unit still uses shadowsync.
func TestUninstall(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the project")
	}
	for _, prefix := range []string{"/usr", "/opt/shadowsync"} {
		stage := filepath.Join(t.TempDir(), "stage")
		target := []string{"DESTDIR=" + stage, "PREFIX=" + prefix, "PAM_MODULE_DIR=/usr/lib/security"}
		install := func() {
			t.Helper()
			if err := makeTarget("install", target...); err != nil {
				t.Fatal(err)
			}
		}
		install()
		if got := tree(t, stage); len(got) < 50 {
			t.Fatalf("installed %q", got)
		}
		if err := makeTarget("uninstall", target...); err != nil {
			t.Fatal(err)
		}
		if got := tree(t, filepath.Dir(stage)); len(got) > 2 { // the stage itself may stay
			t.Errorf("PREFIX=%s: uninstall left %q", prefix, got)
		}

		put(t, stage, map[string]string{
			"etc/shadowsync/shadowsync.toml": "", "var/lib/shadowsync/state/state.db": "", prefix + "/share/man/man8/other.8": "",
			prefix + "/lib/systemd/system/other.service": "", "etc/pam.d/common-password": "# pam_shadowsync was here\n", prefix + "/bin/other": "",
		})
		before := tree(t, stage)
		install()
		for _, use := range []map[string]string{
			{"etc/pam.d/common-password": "password optional pam_shadowsync.so\n"},
			{"etc/systemd/system/128T.service.d/50-shadowsync.conf": "[Unit]\n"},
		} {
			put(t, stage, use)
			if err := makeTarget("uninstall", target...); err == nil || !strings.Contains(err.Error(), "run shadowsync remove first") {
				t.Errorf("while in use: %v", err)
			}
			put(t, stage, map[string]string{"etc/pam.d/common-password": ""})
		}
		if err := os.RemoveAll(filepath.Join(stage, "etc/systemd")); err != nil {
			t.Fatal(err)
		}
		if err := makeTarget("uninstall", target...); err != nil {
			t.Fatal(err)
		}
		if after := tree(t, stage); !slices.Equal(after, before) {
			t.Errorf("PREFIX=%s: left %q, there was %q", prefix, after, before)
		}
	}
}
