package systemd

import (
	"bytes"
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/shadowsync/shadowsync/internal/files/durable"
)

//go:embed units
var unitFiles embed.FS

// The units of shadowsync itself, as `make install` writes them.
const (
	BrokerUnit         = "shadowsync.service"
	RootSocketUnit     = "shadowsync.socket"
	OperatorSocketUnit = "shadowsync-operator.socket"
	FactorSocketUnit   = "shadowsync-factor.socket"
	PagesSocketUnit    = "shadowsync-pages.socket" // enabled where there is a page
)

// The units of the page for browsers.
const (
	WebSocketUnit = "shadowsync-web.socket"
	WebUnit       = "shadowsync-web.service"
)

// DefaultBinary is the path of the program in the embedded units.
const DefaultBinary = "/usr/sbin/shadowsync"

// Units returns the text of each unit file, keyed by name, for a program that is installed as
// binary.
func Units(binary string) (map[string][]byte, error) {
	if err := checkBinary(binary); err != nil {
		return nil, err
	}
	entries, err := unitFiles.ReadDir("units")
	if err != nil {
		return nil, fmt.Errorf("cannot list the embedded units: %w", err)
	}
	units := make(map[string][]byte, len(entries))
	for _, e := range entries {
		text, err := unitFiles.ReadFile("units/" + e.Name())
		if err != nil {
			return nil, fmt.Errorf("cannot read the embedded unit %s: %w", e.Name(), err)
		}
		units[e.Name()] = bytes.ReplaceAll(text, []byte(DefaultBinary), []byte(binary))
	}
	return units, nil
}

// WriteUnits writes all units into the folder dir, which it creates if absent.
func WriteUnits(dir, binary string) error {
	units, err := Units(binary)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("cannot create the folder of units: %w", err)
	}
	for name, text := range units {
		if err := writeFile(filepath.Join(dir, name), text); err != nil {
			return err
		}
	}
	return nil
}

// checkBinary refuses a path that systemd's command lines would not take unchanged, because it
// needs quoting or contains a specifier.
func checkBinary(path string) error {
	if !filepath.IsAbs(path) || filepath.Clean(path) != path {
		return fmt.Errorf("cannot use %q as the program of a unit: not an absolute, clean path", path)
	}
	if i := strings.IndexFunc(path, unfitForCommand); i >= 0 {
		return fmt.Errorf("cannot use %q as the program of a unit: %q in its path", path, path[i])
	}
	return nil
}

func unfitForCommand(r rune) bool {
	return r <= ' ' || r > '~' || strings.ContainsRune(`"'\%$;`, r)
}

// writeFile replaces a file that systemd reads. systemctl shows it to every user, so its mode does
// not depend on the umask.
func writeFile(path string, text []byte) error {
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	defer folder.Close()
	if err := durable.Write(int(folder.Fd()), filepath.Base(path), text, 0o644); err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return nil
}
