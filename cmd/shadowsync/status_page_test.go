package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestPageMend: where the page's program is gone, status does not send people to a command that cannot bring it.
func TestPageMend(t *testing.T) {
	former := installedAt
	t.Cleanup(func() { installedAt = former })
	installedAt = filepath.Join(t.TempDir(), "shadowsync")
	if got := (pageStatus{}).mend(); got != "shadowsync doctor" {
		t.Errorf("without the program: %s", got)
	}
	if err := os.WriteFile(installedAt+"-web", nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if got := (pageStatus{}).mend(); got != "shadowsync doctor --fix" {
		t.Errorf("with the program: %s", got)
	}
}
