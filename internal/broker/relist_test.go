package broker

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
)

// An account that operators created is managed at once: for later requests, and in the PAM module's
// list. Requests that began before see the former list.
func TestRelist(t *testing.T) {
	b, s := announcing(t)
	b.file = filepath.Join(t.TempDir(), "shadowsync.toml")
	before := b.engine.Load()
	managed := func() (broker, module bool) {
		t.Helper()
		list, err := os.ReadFile(filepath.Join(s.Root(), engine.RunDir, "managed"))
		if err != nil {
			t.Fatal(err)
		}
		_, broker = b.engine.Load().Config.Managing("new")
		return broker, strings.Contains(string(list), "new\t")
	}
	for _, step := range []struct {
		edit func(root, path, application, name string) error
		want bool
	}{{config.AddAccount, true}, {config.RemoveAccount, false}} {
		if err := step.edit("/", b.file, "app", "new"); err != nil {
			t.Fatal(err)
		}
		if err := b.relist("app"); err != nil {
			t.Fatal(err)
		}
		if broker, module := managed(); broker != step.want || module != step.want {
			t.Errorf("managed: by the broker %v, by the module %v, want %v", broker, module, step.want)
		}
	}
	if _, ok := before.Config.Managing("new"); ok || before.Config == b.engine.Load().Config {
		t.Error("the list changed under whoever asked before")
	}
}

// A reconcile in progress would take an account that is being removed for a lost one.
func TestRelistWaitsForTheReconcile(t *testing.T) {
	b, _ := announcing(t)
	b.file = filepath.Join(t.TempDir(), "shadowsync.toml")
	before := b.engine.Load()
	done := b.keepers["app"].Begin()
	relisted := make(chan error, 1)
	go func() { relisted <- b.relist("app") }()
	select {
	case <-relisted:
		t.Error("it did not wait")
	case <-time.After(100 * time.Millisecond):
	}
	if b.engine.Load() != before {
		t.Error("the list changed under a reconcile")
	}
	done()
	if err := <-relisted; err != nil || b.engine.Load() == before {
		t.Errorf("it was not taken over: %v", err)
	}
}

// A list that cannot be read leaves everything as it is.
func TestRelistFails(t *testing.T) {
	b, _ := announcing(t)
	b.file = filepath.Join(t.TempDir(), "shadowsync.toml")
	if err := config.AddAccount("/", b.file, "app", "user"); err != nil { // it is in the configuration already
		t.Fatal(err)
	}
	before := b.engine.Load()
	if err := b.relist("app"); err == nil || b.engine.Load() != before {
		t.Errorf("got %v", err)
	}
}
