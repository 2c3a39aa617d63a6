package hook

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
)

// TestOutdatedWatch: a watch that began under another configuration does not look any more, because
// it would undo what the new configuration decides.
func TestOutdatedWatch(t *testing.T) {
	s := newSystem(t, config.StartAnyway)
	text := []byte(`[[application]]
name = "conductor"
unit = "128T.service"
accounts = ["admin"]
[application.store]
driver = "json"
path = "/srv/users.json"
users = "/users"
name = "name"
password = "password"
`)
	path := filepath.Join(s.root, config.DefaultPath)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, text, 0o600)); err != nil {
		t.Fatal(err)
	}
	loaded, err := engine.LoadConfig(s.root, config.DefaultPath)
	if err != nil {
		t.Fatal(err)
	}
	s.engine.Config = loaded
	s.units = unit{Active: true, For: time.Second}
	if s.engine.Outdated() {
		t.Fatal("it is outdated already")
	}
	if err := os.WriteFile(path, append(text, "formats = [\"bcrypt\"]\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	s.shadow(newHash)
	if err := s.run(Settle); !errors.Is(err, ErrOutdated) {
		t.Errorf("the watch ends with %v", err)
	}
	if s.store.holds(newHash) {
		t.Error("it has carried a change into the store")
	}
}

// TestBounds: all hooks except the watch have a time limit.
func TestBounds(t *testing.T) {
	for _, kind := range Kinds {
		ctx, cancel := kind.Bound(context.Background())
		if _, bounded := ctx.Deadline(); bounded == (kind == Settle) {
			t.Errorf("%s is bounded: %v", kind, bounded)
		}
		cancel()
	}
}
