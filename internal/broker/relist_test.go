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

// An account that operators made is managed from one moment to the next: by whoever asks
// from then on, and by the PAM module's list. Who asked before sees what there was.
func TestRelist(t *testing.T) {
	f := openOffice(t, "")
	f.file = filepath.Join(t.TempDir(), "shadowsync.toml")
	before := f.engine.Load()
	managed := func() (broker, keeper, module bool) {
		t.Helper()
		list, err := os.ReadFile(filepath.Join(f.root, engine.RunDir, "managed"))
		if err != nil {
			t.Fatal(err)
		}
		_, broker = f.operators.with(f.engine.Load()).engine.Config.Managing("new")
		_, keeper = f.keepers["app"].engine.Load().Config.Managing("new")
		return broker, keeper, strings.Contains(string(list), "new\t")
	}
	for _, step := range []struct {
		edit func(root, path, application, name string) error
		want bool
	}{{config.AddAccount, true}, {config.RemoveAccount, false}} {
		if err := step.edit("/", f.file, "app", "new"); err != nil {
			t.Fatal(err)
		}
		if err := f.relist("app"); err != nil {
			t.Fatal(err)
		}
		if broker, keeper, module := managed(); broker != step.want || keeper != step.want || module != step.want {
			t.Errorf("managed: by the broker %v, by the keeper %v, by the module %v, want %v", broker, keeper, module, step.want)
		}
	}
	if _, ok := before.Config.Managing("new"); ok || before.Config == f.engine.Load().Config {
		t.Error("the list changed under whoever asked before")
	}
}

// A reconcile that is under way would take an account that is being removed for one
// that got lost.
func TestRelistWaitsForTheReconcile(t *testing.T) {
	f := openOffice(t, "")
	f.file = filepath.Join(t.TempDir(), "shadowsync.toml")
	before := f.engine.Load()
	done := f.keepers["app"].begin()
	relisted := make(chan error, 1)
	go func() { relisted <- f.relist("app") }()
	select {
	case <-relisted:
		t.Error("it did not wait")
	case <-time.After(100 * time.Millisecond):
	}
	if f.keepers["app"].engine.Load() != before {
		t.Error("the list changed under a reconcile")
	}
	done()
	if err := <-relisted; err != nil || f.keepers["app"].engine.Load() == before {
		t.Errorf("it was not taken over: %v", err)
	}
}

// A list that cannot be read leaves everything as it is.
func TestRelistFails(t *testing.T) {
	f := openOffice(t, "")
	f.file = filepath.Join(t.TempDir(), "shadowsync.toml")
	if err := config.AddAccount("/", f.file, "app", "user"); err != nil { // it is in the configuration already
		t.Fatal(err)
	}
	before := f.engine.Load()
	if err := f.relist("app"); err == nil || f.engine.Load() != before {
		t.Errorf("got %v", err)
	}
}
