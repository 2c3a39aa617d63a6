package setup

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/shadowsync/shadowsync/internal/files/inroot"
)

// This is `systemctl enable` for systems that are not running. systemctl --root follows symbolic
// links out of such a system.

// MaskedError: the unit is masked, so it cannot be enabled.
type MaskedError struct{ Root, Unit string }

func (e *MaskedError) Error() string { return "cannot enable " + e.Unit + ": it is masked" }

// Unmask is the command that undoes it.
func (e *MaskedError) Unmask() string {
	if e.Root != "/" {
		return "rm " + inroot.Shown(e.Root, filepath.Join(UnitFolders[0], e.Unit))
	}
	return "systemctl unmask " + e.Unit
}

// Enabled reports whether a unit is enabled under root.
func Enabled(root, unit string) (bool, error) {
	if masked(root, unit) {
		return false, nil
	}
	links, err := enablingLinks(root, unit)
	return len(links) > 0, err
}

func masked(root, unit string) bool {
	target, err := inroot.Readlink(root, filepath.Join(UnitFolders[0], unit))
	return err == nil && target == "/dev/null"
}

// enablingLinks returns the links by which other units pull in a unit (systemd.unit(5)).
func enablingLinks(root, unit string) (links []string, err error) {
	entries, err := inroot.ReadDir(root, UnitFolders[0])
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot look for what enables %s: %w", unit, err)
	}
	for _, e := range entries {
		if ext := filepath.Ext(e.Name); ext != ".wants" && ext != ".requires" {
			continue
		}
		link := filepath.Join(UnitFolders[0], e.Name, unit)
		if _, err := inroot.Lstat(root, link); err == nil {
			links = append(links, link)
		}
	}
	return links, nil
}

// enableIn makes the links that a unit's [Install] section asks for.
func enableIn(root, unit string) error {
	path := FindUnit(root, unit)
	text, err := inroot.ReadFile(root, path)
	if err != nil {
		return err
	}
	for _, target := range wantedBy(string(text)) {
		folder := filepath.Join(UnitFolders[0], target+".wants")
		if err := inroot.MkdirAll(root, folder, 0o755); err != nil {
			return err
		}
		link := filepath.Join(folder, unit)
		if err := inroot.Symlink(root, path, link); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// disableIn removes every link that pulls in the unit and, as systemctl does, the link's folder if
// it is then empty.
func disableIn(root, unit string) error {
	links, err := enablingLinks(root, unit)
	for _, link := range links {
		err = errors.Join(err, inroot.RemoveFile(root, link))
		_ = inroot.RemoveFolder(root, filepath.Dir(link)) // fails if it is not empty
	}
	return err
}

// wantedBy reads one of our units, whose [Install] section has no continued lines.
func wantedBy(text string) (targets []string) {
	section := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			section = line
		}
		if list, ok := strings.CutPrefix(line, "WantedBy="); ok && section == "[Install]" {
			targets = append(targets, strings.Fields(list)...)
		}
	}
	return targets
}
