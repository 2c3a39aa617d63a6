package crypt

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/shadowsync/shadowsync/internal/password/crypt/format"
)

func TestMethodFromLoginDefs(t *testing.T) {
	tests := []struct {
		name, text string
		want       Method
	}{
		{"empty", "", Method{Format: format.Yescrypt}},
		{"commented out", "#ENCRYPT_METHOD DES\n # ENCRYPT_METHOD DES\n", Method{Format: format.Yescrypt}},
		{"debian 12", "UMASK\t\t022\nENCRYPT_METHOD SHA512\nNONEXISTENT\t/nonexistent\n", Method{Format: format.SHA512}},
		{"blanks and quotes", "\t ENCRYPT_METHOD \t\"SHA256\" # best\r\n", Method{Format: format.SHA256}},
		{"pam_unix's case", "ENCRYPT_METHOD sha512", Method{Format: format.SHA512}},
		{"no value", "ENCRYPT_METHOD\n", Method{Format: format.Yescrypt}},
		{"last one counts", "ENCRYPT_METHOD MD5\nENCRYPT_METHOD BCRYPT\n", Method{Format: format.Bcrypt}},
		{"longer name", "ENCRYPT_METHOD_OLD MD5\n", Method{Format: format.Yescrypt}},
		{"md5", "ENCRYPT_METHOD MD5\nSHA_CRYPT_MAX_ROUNDS 9000", Method{Format: format.MD5}},
		{"des", "ENCRYPT_METHOD DES", Method{Format: format.DES}},
		{"one round setting", "ENCRYPT_METHOD SHA512\nSHA_CRYPT_MIN_ROUNDS 9000\n", Method{format.SHA512, 9000}},
		{"highest rounds", "ENCRYPT_METHOD SHA512\nSHA_CRYPT_MIN_ROUNDS 9000\nSHA_CRYPT_MAX_ROUNDS 8000\n", Method{format.SHA512, 9000}},
		{"few rounds", "ENCRYPT_METHOD SHA512\nSHA_CRYPT_MAX_ROUNDS 1\n", Method{format.SHA512, 1000}},
		{"many rounds", "ENCRYPT_METHOD SHA256\nSHA_CRYPT_MAX_ROUNDS 999999999\n", Method{format.SHA256, 10_000_000}},
		{"yescrypt cost", "YESCRYPT_COST_FACTOR 7\nENCRYPT_METHOD YESCRYPT\n", Method{format.Yescrypt, 7}},
		{"yescrypt cost by default", "YESCRYPT_COST_FACTOR 7\n", Method{format.Yescrypt, 7}},
		{"gost", "YESCRYPT_COST_FACTOR 99\nENCRYPT_METHOD gost_yescrypt\n", Method{format.GostYescrypt, 11}},
		{"bcrypt cost", "BCRYPT_MIN_ROUNDS 10\nENCRYPT_METHOD BLOWFISH\n", Method{format.Bcrypt, 10}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := MethodFromLoginDefs(rootWith(t, test.text))
			if err != nil || got != test.want {
				t.Errorf("MethodFromLoginDefs = %+v, %v; want %+v", got, err, test.want)
			}
		})
	}
}

func TestMethodFromLoginDefsRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"unknown method":  "ENCRYPT_METHOD ROT13\n",
		"no number":       "ENCRYPT_METHOD SHA512\nSHA_CRYPT_MAX_ROUNDS many\n",
		"negative number": "ENCRYPT_METHOD SHA512\nSHA_CRYPT_MAX_ROUNDS -1\n",
		"too large":       strings.Repeat("#\n", maxLoginDefs),
		"one long line":   strings.Repeat("x", 100_000),
	} {
		t.Run(name, func(t *testing.T) {
			if m, err := MethodFromLoginDefs(rootWith(t, text)); !errors.Is(err, ErrLoginDefs) || m != (Method{}) {
				t.Errorf("MethodFromLoginDefs = %+v, %v; want ErrLoginDefs", m, err)
			}
		})
	}
}

func TestMethodFromLoginDefsFile(t *testing.T) {
	tests := []struct {
		name string
		make func(t *testing.T, root, outside string) error
		want Method
		err  error
	}{
		{"no file", func(*testing.T, string, string) error { return nil }, Method{Format: format.Yescrypt}, nil},
		{"absolute link inside", func(t *testing.T, root, _ string) error {
			write(t, filepath.Join(root, "etc/other"), "ENCRYPT_METHOD SHA256")
			return os.Symlink("/etc/other", filepath.Join(root, "etc/login.defs"))
		}, Method{Format: format.SHA256}, nil},
		{"link to the outside stays inside", func(_ *testing.T, root, outside string) error {
			return os.Symlink(outside, filepath.Join(root, "etc/login.defs"))
		}, Method{Format: format.Yescrypt}, nil},
		{"dots stay inside", func(_ *testing.T, root, outside string) error {
			return os.Symlink("../../../../../../../.."+outside, filepath.Join(root, "etc/login.defs"))
		}, Method{Format: format.Yescrypt}, nil},
		{"FIFO", func(_ *testing.T, root, _ string) error {
			return syscall.Mkfifo(filepath.Join(root, "etc/login.defs"), 0o600)
		}, Method{}, ErrLoginDefs},
		{"folder", func(_ *testing.T, root, _ string) error {
			return os.Mkdir(filepath.Join(root, "etc/login.defs"), 0o700)
		}, Method{}, ErrLoginDefs},
		{"no root", func(_ *testing.T, root, _ string) error { return os.RemoveAll(root) }, Method{}, ErrLoginDefs},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			root, outside := t.TempDir(), filepath.Join(t.TempDir(), "login.defs")
			write(t, outside, "ENCRYPT_METHOD MD5")
			if err := os.Mkdir(filepath.Join(root, "etc"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := test.make(t, root, outside); err != nil {
				t.Fatal(err)
			}
			got, err := MethodFromLoginDefs(root)
			if got != test.want || !errors.Is(err, test.err) {
				t.Errorf("MethodFromLoginDefs = %+v, %v; want %+v, %v", got, err, test.want, test.err)
			}
		})
	}
}

func rootWith(t *testing.T, loginDefs string) string {
	t.Helper()
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "etc"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(root, "etc/login.defs"), loginDefs)
	return root
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
