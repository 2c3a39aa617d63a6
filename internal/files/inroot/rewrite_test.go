package inroot

import (
	"os"
	"testing"
)

// TestRewriteKeepsTheMode: for the other attributes see durable.KeepAttributes.
func TestRewriteKeepsTheMode(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if err := os.WriteFile(root+"/file", []byte("before"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(root+"/file", 0o664); err != nil {
		t.Fatal(err)
	}
	if err := Rewrite(root, "/file", []byte("after")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(root + "/file")
	if err != nil || info.Mode().Perm() != 0o664 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if text, _ := os.ReadFile(root + "/file"); string(text) != "after" {
		t.Errorf("content %q", text)
	}
	if err := Rewrite(root, "/none", nil); err == nil {
		t.Error("a missing file was rewritten")
	}
}
