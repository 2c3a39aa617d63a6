package jsonfile

import (
	"os"
	"testing"

	"github.com/shadowsync/shadowsync/internal/store/driver"
)

func TestRehearse(t *testing.T) {
	const text = `{"users": [{"name": "a", "password": "x"}]} `
	path := file(t, text)
	rehearse := func() (replaced bool) {
		t.Helper()
		before, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := open(t, path, "/users").(driver.Rehearser).Rehearse(t.Context()); err != nil {
			t.Fatal(err)
		}
		after, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if read(t, path) != text || after.Mode() != before.Mode() {
			t.Errorf("it has changed: %q, %v", read(t, path), after.Mode())
		}
		return !os.SameFile(before, after)
	}
	if !rehearse() {
		t.Error("it was not replaced")
	}
	if err := os.Link(path, path+".other"); err != nil {
		t.Fatal(err)
	}
	if rehearse() {
		t.Error("it was cut off from its other name")
	}
}
