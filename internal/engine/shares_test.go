package engine

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/config"
)

// TestSharedSchemes: a store cannot have the values of one whose driver chooses another scheme.
func TestSharedSchemes(t *testing.T) {
	const text = "[[application]]\nunit = \"pool.service\"\naccounts = [\"pooled\"]\n" +
		"[[application.store]]\nstore_name = \"role\"\ndriver = \"passwdfile\"\nformat = \"pgbouncer\"\npath = \"/etc/a\"\n" +
		"[[application.store]]\nstore_name = \"list\"\nshares = \"role\"\ndriver = \"passwdfile\"\nformat = %q\npath = \"/etc/b\"\n"
	for format, want := range map[string]string{"pgbouncer": "", "mosquitto": "that store's values are of another scheme: scram-sha-256, not mosquitto"} {
		t.Run(format, func(t *testing.T) {
			_, err := withStores(config.Parse(fmt.Appendf(nil, text, format)))
			fault := (*config.Fault)(nil)
			if want == "" && err != nil || want != "" && (!errors.As(err, &fault) || !strings.Contains(err.Error(), want)) {
				t.Errorf("%v, want %q", err, want)
			}
		})
	}
}
