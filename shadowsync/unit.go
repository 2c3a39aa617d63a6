package shadowsync

import (
	"fmt"
	"strings"
)

// unitMost is the maximum length of an application's unit name. systemd allows 255 bytes
// (UNIT_NAME_MAX without its final zero), and the unit's name becomes the instance in the names of
// our own units; this prefix is the longest of theirs.
const unitMost = 255 - len("shadowsync-stopped@")

// ourInstances are the prefixes of our units that run around an application.
var ourInstances = []string{"shadowsync-start@", "shadowsync-retry@", "shadowsync-settle@", "shadowsync-stopped@", "shadowsync-recheck@"}

// CheckUnit says why name cannot be an application's unit. A name that passes is safe as a file
// name and in a unit file, and all unit names derived from it are valid.
func CheckUnit(name string) error {
	stem, ok := strings.CutSuffix(name, ".service")
	switch {
	case !ok:
		return fmt.Errorf("%q is not the name of a service: it does not end in .service", name)
	case len(name) > unitMost:
		return fmt.Errorf("%q is %d bytes long; a unit's name may have %d, so that the names of its hooks stay below systemd's limit", name, len(name), unitMost)
	case stem == "" || stem[0] == '.' || stem[0] == '@' || strings.HasSuffix(stem, "@"):
		return fmt.Errorf("%q is not the name of a service that can be started", name)
	}
	if i := strings.IndexFunc(stem, unfitForUnit); i >= 0 {
		return fmt.Errorf("%q is not the name of a service: it contains %q", name, stem[i:i+1])
	}
	if stem == "shadowsync" {
		return fmt.Errorf("%q is shadowsync itself", name)
	}
	for _, prefix := range ourInstances {
		if strings.HasPrefix(stem, prefix) {
			return fmt.Errorf("%q is one of shadowsync's own hooks", name)
		}
	}
	return nil
}

// unfitForUnit reports whether unit names contain r only escaped as \xNN: see systemd.unit(5).
func unfitForUnit(r rune) bool {
	plain := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
	return !plain && !strings.ContainsRune(`:-_.\@`, r)
}
