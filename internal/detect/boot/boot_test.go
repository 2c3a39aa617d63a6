package boot

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestID(t *testing.T) {
	dir := t.TempDir()
	socket, kernel := filepath.Join(dir, "notify"), filepath.Join(dir, "boot_id")
	if got := id(socket, kernel); got != "" {
		t.Errorf("got %q without a source", got)
	}
	if err := os.WriteFile(kernel, []byte("0f2c\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := id(socket, kernel); got != "0f2c" {
		t.Errorf("got %q, want the kernel's", got)
	}
	if err := os.WriteFile(socket, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	first := id(socket, kernel)
	if err := os.WriteFile(kernel, []byte("77aa\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := id(socket, kernel); got != first || got == "77aa" {
		t.Errorf("got %q, want the socket's %q whatever the kernel shows", got, first)
	}
	later := time.Now().Add(time.Minute)
	if err := os.Chtimes(socket, later, later); err != nil {
		t.Fatal(err)
	}
	if got := id(socket, kernel); got == first {
		t.Error("another boot has the same id")
	}
}
