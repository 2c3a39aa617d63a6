package sqlite

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
)

// gid returns the number of the group that may read; -1: none.
func (s *Store) gid() (int, error) {
	if s.group == "" {
		return -1, nil
	}
	if s.root != "" {
		return groupOf(filepath.Join(s.root, "etc/group"), s.group)
	}
	g, err := user.LookupGroup(s.group)
	if err != nil {
		return -1, err
	}
	return strconv.Atoi(g.Gid)
}

// groupOf looks into the group(5) file of a mounted system, which is none of this system's NSS's business.
func groupOf(path, name string) (int, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return -1, err
	}
	for line := range strings.Lines(string(data)) {
		if f := strings.Split(line, ":"); len(f) > 2 && f[0] == name {
			return strconv.Atoi(f[2])
		}
	}
	return -1, fmt.Errorf("there is no group %q in %s", name, path)
}
