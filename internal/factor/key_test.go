package factor

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
)

func remove(t *testing.T, k KeyFile) {
	t.Helper()
	if err := os.Remove(filepath.Join(k.Root, k.Name)); err != nil {
		t.Fatal(err)
	}
}

func TestAKeyIsMadeOnce(t *testing.T) {
	k := KeyFile{t.TempDir(), "/factor.key"}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if err := k.Make(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	first, err := k.Get()
	if err == nil {
		err = k.Make()
	}
	if second, _ := k.Get(); err != nil || string(first) != string(second) {
		t.Errorf("it was replaced, %v", err)
	}
	info, err := os.Stat(filepath.Join(k.Root, k.Name))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	entries, err := os.ReadDir(k.Root)
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	if err := os.WriteFile(filepath.Join(k.Root, k.Name), []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Get(); err == nil {
		t.Error("a short key was taken")
	}
}
