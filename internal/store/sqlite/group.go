package sqlite

import (
	"errors"
	"fmt"
	"os/user"
	"strconv"
	"strings"

	"github.com/shadowsync/shadowsync/internal/files/inroot"
)

// gid returns the number of the group that may read; -1: none.
func (s *Store) gid() (int, error) {
	if s.group == "" {
		return -1, nil
	}
	if !inroot.Live(s.root) {
		return groupOf(s.root, s.group)
	}
	g, err := user.LookupGroup(s.group)
	if errors.As(err, new(user.UnknownGroupError)) { // also if nslcd(8) is stopped
		return -1, fmt.Errorf("cannot find the group %q: there is none, or a directory does not answer", s.group)
	}
	if err != nil {
		return -1, err
	}
	return strconv.Atoi(g.Gid)
}

// groupOf reads the group(5) file of a mounted system, because NSS answers only for the running
// system.
func groupOf(root, name string) (int, error) {
	data, err := inroot.ReadFile(root, "etc/group")
	if err != nil {
		return -1, err
	}
	for line := range strings.Lines(string(data)) {
		if f := strings.Split(line, ":"); len(f) > 2 && f[0] == name {
			return strconv.Atoi(f[2])
		}
	}
	return -1, fmt.Errorf("there is no group %q in %s", name, inroot.Shown(root, "etc/group"))
}
