package shadowfile

import (
	"context"
	"errors"
	"io/fs"
	"strings"
)

// Census lists the names in passwd(5), group(5) and gshadow(5), in the order of the files. A name
// that a file has twice is listed twice, because the kernel knows only uids and gids.
type Census struct {
	Logins []Login
	Groups []Group
}

// Login is a line of passwd(5).
type Login struct {
	Name     string
	UID, GID uint32
}

// Group is a line of group(5), or of gshadow(5).
type Group struct {
	Name string
	GID  uint32 // only from group(5)
	// Shadowed: from gshadow(5). Its members can enter the group with newgrp(1), and its
	// administrators can add themselves (gpasswd(1)).
	Shadowed bool
	Members  []string
}

// Count reads the three files of the system mounted at root. gshadow(5) may be missing.
func Count(ctx context.Context, root string) (c Census, err error) {
	if err := ctx.Err(); err != nil {
		return c, err
	}
	t, err := openTree(rootPath(root))
	if err != nil {
		return c, err
	}
	defer t.close()
	passwd, err := t.read("etc/passwd")
	if err != nil {
		return c, err
	}
	group, err := t.read("etc/group")
	if err != nil {
		return c, err
	}
	gshadow, err := t.read("etc/gshadow")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return c, err
	}
	return parseCensus(passwd, group, gshadow), nil
}

func parseCensus(passwd, group, gshadow string) (c Census) {
	for raw := range strings.Lines(passwd) {
		if u, ok := parseUser(raw); ok {
			c.Logins = append(c.Logins, Login{u.name, u.uid, u.gid})
		}
	}
	for name, g := range groupLines(group) {
		c.Groups = append(c.Groups, Group{Name: name, GID: g.gid, Members: namesIn(g.members)})
	}
	for raw := range strings.Lines(gshadow) {
		fields := strings.SplitN(strings.TrimRight(raw, "\n"), ":", 4)
		if len(fields) == 4 {
			c.Groups = append(c.Groups, Group{Name: fields[0], Shadowed: true, Members: namesIn(fields[2] + "," + fields[3])})
		}
	}
	return c
}

// namesIn splits a list as glibc does, which skips white space before a name.
func namesIn(list string) (names []string) {
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	return names
}
