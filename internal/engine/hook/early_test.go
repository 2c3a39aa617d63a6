package hook

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/systemd"
)

// named are units by their names.
type named map[string]systemd.Activity

func (n named) Activity(_ context.Context, name string) (systemd.Activity, error) {
	return n[name], nil
}

// TestEarly: the start neither waits for a store whose server has not started, nor is refused because of
// it. Once the server runs, both happen.
func TestEarly(t *testing.T) {
	s := newSystem(t, config.StartRefuse)
	s.engine.Config.Applications[0].Store["after"] = "postgresql.service"
	s.shadow(newHash)
	s.store.hangs = true
	for _, tt := range []struct {
		name    string
		server  systemd.Activity
		refused bool
	}{
		{"not started", systemd.Activity{Over: true}, false},
		{"starting", systemd.Activity{}, false},
		{"started", systemd.Activity{Active: true}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.units = named{"128T.service": {Over: true}, "postgresql.service": tt.server}
			began := time.Now()
			err := s.run(PreStart)
			if took := time.Since(began); !tt.refused && took > s.options.StoreTimeout {
				t.Errorf("it took %v", took)
			}
			if errors.As(err, new(*NotSettledError)) != tt.refused {
				t.Errorf("%v", err)
			}
		})
	}
}
