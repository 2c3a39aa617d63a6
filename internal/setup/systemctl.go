package setup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// Systemctl runs systemctl(1), for what the bus does not tell and for systems that
// are not running (--root). Its error holds what systemctl said.
func Systemctl(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "systemctl", args...)
	// Names are for programs, whatever the person's language; a pager would wait.
	cmd.Env = append(cmd.Environ(), "LC_ALL=C.UTF-8", "SYSTEMD_PAGER=", "SYSTEMD_COLORS=0")
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("cannot run systemctl %s: %w: %s", args[0], err, strings.TrimSpace(said.String()))
	}
	return out.String(), nil
}

// Properties asks systemd for properties of a unit that systemd.UnitState lacks.
func Properties(ctx context.Context, unit string, names ...string) (map[string]string, error) {
	out, err := Systemctl(ctx, "show", "--property="+strings.Join(names, ","), "--", unit)
	if err != nil {
		return nil, err
	}
	return parseProperties(out), nil
}

func parseProperties(text string) map[string]string {
	properties := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "="); ok {
			properties[name] = value
		}
	}
	return properties
}

// Enabled tells whether a unit is enabled beneath root.
func Enabled(ctx context.Context, root, unit string) (bool, error) {
	out, err := Systemctl(ctx, "--root="+root, "is-enabled", "--", unit)
	var status *exec.ExitError
	if errors.As(err, &status) && status.Exited() {
		err = nil // its word is in the output: disabled, masked, not-found
	}
	return strings.TrimSpace(out) == "enabled", err
}
