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
	process := func() *source { return &source{socket: socket, kernel: kernel} }
	early := process()
	if got := early.id(); got != "" {
		t.Errorf("got %q without a source", got)
	}
	if err := os.WriteFile(kernel, []byte("0f2c\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := early.id(); got != "0f2c" {
		t.Errorf("got %q, want the kernel's", got)
	}
	if err := os.WriteFile(socket, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	first := early.id()
	if got := process().id(); got != first {
		t.Errorf("got %q, and %q in a process that started before systemd", got, first)
	}
	if err := os.WriteFile(kernel, []byte("77aa\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := process().id(); got != first || got == "77aa" {
		t.Errorf("got %q, want the socket's %q whatever the kernel shows", got, first)
	}
	later := time.Now().Add(time.Minute)
	if err := os.Chtimes(socket, later, later); err != nil {
		t.Fatal(err)
	}
	if got := process().id(); got == first {
		t.Error("another boot has the same id")
	}
	if got := early.id(); got != first {
		t.Errorf("it was read again: %q", got)
	}
}
