package crypt

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/shadowsync/shadowsync/internal/password/crypt/format"
)

func TestMethodOfSystem(t *testing.T) {
	const debian = "password\t[success=1 default=ignore]\tpam_unix.so obscure use_authtok try_first_pass yescrypt\npassword requisite pam_deny.so\n"
	for name, tc := range map[string]struct {
		files map[string]string
		want  Method
	}{
		"nothing there": {nil, Method{Format: format.Yescrypt}},
		"debian":        {map[string]string{"etc/pam.d/common-password": debian}, Method{Format: format.Yescrypt}},
		"the line counts before login.defs": {map[string]string{
			"etc/pam.d/common-password": "password required pam_unix.so sha512 rounds=70000\n",
			"etc/login.defs":            "ENCRYPT_METHOD MD5\n",
		}, Method{Format: format.SHA512, Cost: 70000}},
		"no option": {map[string]string{
			"etc/pam.d/common-password": "password required pam_unix.so shadow\n",
			"etc/login.defs":            "ENCRYPT_METHOD SHA256\n",
		}, Method{Format: format.SHA256}},
		"fedora": {map[string]string{
			"etc/pam.d/system-auth": "auth sufficient pam_unix.so sha512\n-password sufficient /usr/lib64/security/pam_unix.so sha256 \\\n shadow yescrypt\n",
		}, Method{Format: format.Yescrypt}},
		"out of range": {map[string]string{"etc/pam.d/password-auth": "password x pam_unix.so blowfish rounds=99"}, Method{Format: format.Bcrypt, Cost: 17}},
		"commented":    {map[string]string{"etc/pam.d/common-password": "password x pam_unix.so # sha512\n"}, Method{Format: format.Yescrypt}},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for file, text := range tc.files {
				path := filepath.Join(root, file)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got, err := MethodOfSystem(root); err != nil || got != tc.want {
				t.Errorf("got %+v, %v, want %+v", got, err, tc.want)
			}
		})
	}
}

// TestStackIsALink: authselect uses absolute links for its files; they must stay inside the mounted
// system.
func TestStackIsALink(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"etc/pam.d", "etc/authselect"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "etc/authselect/system-auth"), []byte("password x pam_unix.so sha256\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/authselect/system-auth", filepath.Join(root, "etc/pam.d/system-auth")); err != nil {
		t.Fatal(err)
	}
	if got, err := MethodOfSystem(root); err != nil || got.Format != format.SHA256 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestPrice(t *testing.T) {
	for m, want := range map[Method]format.Cost{
		{Format: format.SHA512}:              {Rounds: 5000},
		{Format: format.SHA256, Cost: 70000}: {Rounds: 70000},
		{Format: format.Bcrypt, Cost: 12}:    {Log2: 12},
		{Format: format.Yescrypt}:            {Memory: 16<<20 + 16<<10, Work: 16 << 20},
		{Format: format.Yescrypt, Cost: 11}:  {Memory: 1<<30 + 16<<10, Work: 1 << 30},
		{Format: format.MD5}:                 {},
		{Format: format.DES}:                 {},
	} {
		if got := m.Price(); got != want {
			t.Errorf("%+v: %+v, want %+v", m, got, want)
		}
	}
}
