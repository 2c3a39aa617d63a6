package socket

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSecret(t *testing.T) {
	keepsDescriptors(t)
	for _, token := range []string{"", "x", string(bytes.Repeat([]byte("p"), 512))} {
		f, err := SealedMemfd([]byte(token))
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the offset does not matter
			got, err := ReadSecret(f, 512)
			if err != nil || string(got) != token {
				t.Errorf("got %q, %v", got, err)
			}
		}
		if _, err := f.WriteAt([]byte("y"), 0); !errors.Is(err, unix.EPERM) {
			t.Errorf("writing to it: %v", err)
		}
		if err := f.Truncate(0); token != "" && !errors.Is(err, unix.EPERM) {
			t.Errorf("cutting it: %v", err)
		}
		f.Close()
	}
}

func TestReadSecretRefuses(t *testing.T) {
	keepsDescriptors(t)
	regular, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer regular.Close()
	r, w, err := os.Pipe() // reading it would block for ever
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	large, err := SealedMemfd(make([]byte, 513))
	if err != nil {
		t.Fatal(err)
	}
	defer large.Close()

	tests := []struct {
		name      string
		file      *os.File
		notSealed bool
	}{
		{"regular file", regular, true},
		{"pipe", r, true},
		{"no seals", memfdWith(t, 0), true},
		{"can still be written", memfdWith(t, seals&^unix.F_SEAL_WRITE), true},
		{"only future writes sealed", memfdWith(t, seals&^unix.F_SEAL_WRITE|unix.F_SEAL_FUTURE_WRITE), true},
		{"can still grow", memfdWith(t, seals&^unix.F_SEAL_GROW), true},
		{"can still shrink", memfdWith(t, seals&^unix.F_SEAL_SHRINK), true},
		{"seals can be added", memfdWith(t, seals&^unix.F_SEAL_SEAL), true},
		{"too large", large, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ReadSecret(tt.file, 512)
			if err == nil || errors.Is(err, ErrNotSealed) != tt.notSealed {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func memfdWith(t *testing.T, seals int) *os.File {
	t.Helper()
	fd, err := memfd()
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "memfd")
	t.Cleanup(func() { f.Close() })
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestWipe(t *testing.T) {
	secret := []byte("token")
	Wipe(secret)
	if !bytes.Equal(secret, make([]byte, 5)) {
		t.Errorf("left %q", secret)
	}
}
