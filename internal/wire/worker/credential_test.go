package worker

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestCredential(t *testing.T) {
	folder := t.TempDir()
	for name, text := range map[string]string{"right": "secret", "long": "secrets", "empty": ""} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o400); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv(credentials, folder)
	for name, says := range map[string]string{"right": "", "long": "it has 7 bytes", "empty": "it has 0 bytes", "missing": "none of that name"} {
		text, err := Credential(name, len("secret"))
		if (err == nil) != (says == "") || err != nil && (!strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), name)) || err == nil && string(text) != "secret" {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
	t.Setenv(credentials, "") // the unit has none; then the name must not lead to another file
	t.Chdir(folder)
	if text, err := Credential("right", 10); err == nil {
		t.Errorf("without a folder: %q", text)
	}
}

// TestStarted: only what a unit that was never started leaves is blamed on its credential.
func TestStarted(t *testing.T) {
	other := errors.New("another error")
	for _, tt := range []struct {
		credential string
		err        error
		blamed     bool
	}{{"key", io.EOF, true}, {"key", unix.ECONNRESET, true}, {"key", other, false}, {"key", nil, false}, {"", io.EOF, false}} {
		if err := Started(tt.credential, tt.err); errors.As(err, new(*CredentialError)) != tt.blamed || !tt.blamed && !errors.Is(err, tt.err) {
			t.Errorf("%q, %v: %v", tt.credential, tt.err, err)
		}
	}
}
