package engine

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/config"
)

// TestNoDriver: keys of another driver than the default show that the driver was forgotten.
func TestNoDriver(t *testing.T) {
	const text = "[[application]]\nunit = \"app.service\"\naccounts = [\"admin\"]\n[application.store]\n"
	for store, want := range map[string]string{
		"path = \"/var/lib/app/users.db\"\n": "",
		"table = \"users\"\n":                `the key "driver" is missing, and without it the store is one of the driver sqlite: "table" is a key of the driver sql`,
	} {
		root := t.TempDir()
		if err := os.WriteFile(filepath.Join(root, "c.toml"), []byte(text+store), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := CheckConfig(root, "/c.toml")
		fault := (*config.Fault)(nil)
		if want == "" && err != nil || want != "" && (!errors.As(err, &fault) || fault.Line != 4 || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", store, err, want)
		}
	}
}
