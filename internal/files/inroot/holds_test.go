package inroot

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestHolds(t *testing.T) {
	root := t.TempDir()
	content := bytes.Repeat([]byte("0123456789abcdef"), 10_000) // more than one piece
	put := func(name string, content []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(root, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	other := bytes.Clone(content)
	other[len(other)-1]++
	put("same", content)
	put("shorter", content[:len(content)-1])
	put("longer", append(bytes.Clone(content), 'x'))
	put("other", other)
	put("empty", nil)
	if err := os.Mkdir(filepath.Join(root, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"same", "shorter", "longer", "other", "empty", "folder", "missing"} {
		if got := Holds(root, name, content); got != (name == "same") {
			t.Errorf("%s: %v", name, got)
		}
	}
	if !Holds(root, "empty", nil) || Holds(root, "same", nil) {
		t.Error("no content")
	}
}
