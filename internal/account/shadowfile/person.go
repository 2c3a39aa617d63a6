package shadowfile

import (
	"bytes"
	"context"
	"os"
	"slices"
	"strings"
)

// Person is what passwd(5) and group(5) say about an account besides its password.
type Person struct {
	Name     string
	UID, GID int
	FullName string // the first part of GECOS
	Home     string
	Shell    string
	Groups   []string // names, including the primary group
}

// People reads the accounts of passwd(5) in the system mounted at root; the first line of a name
// counts.
func People(ctx context.Context, root string) (map[string]Person, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	t, err := openTree(rootPath(root))
	if err != nil {
		return nil, err
	}
	defer t.close()
	group, err := t.read("etc/group")
	if err != nil {
		return nil, err
	}
	passwd, err := t.read("etc/passwd")
	if err != nil {
		return nil, err
	}
	return parsePeople(passwd, group), nil
}

func parsePeople(passwd, group string) map[string]Person {
	people := map[string]Person{}
	byGID := map[int][]string{}
	for raw := range strings.Lines(passwd) {
		p, ok := ParsePerson(raw)
		if _, twice := people[p.Name]; !ok || twice {
			continue
		}
		people[p.Name] = p
		byGID[p.GID] = append(byGID[p.GID], p.Name)
	}
	for name, g := range groupLines(group) {
		members := strings.Split(strings.TrimRight(g.members, " \t\n"), ",")
		for _, member := range append(members, byGID[int(g.gid)]...) {
			if p, ok := people[strings.TrimSpace(member)]; ok && !slices.Contains(p.Groups, name) {
				p.Groups = append(p.Groups, name)
				people[p.Name] = p
			}
		}
	}
	return people
}

// ParsePerson reads a line as passwd(5) has it. The groups are not in it.
func ParsePerson(raw string) (Person, bool) {
	name, _, s, ok := parseOwner(raw)
	uid, uidOK := s.number()
	gid, gidOK := s.number()
	gecos, home, shell := s.text(), s.text(), s.text()
	full, _, _ := strings.Cut(s.line[gecos.from:gecos.to], ",")
	return Person{
		Name: name, UID: int(uid), GID: int(gid), FullName: full,
		Home: s.line[home.from:home.to], Shell: s.line[shell.from:shell.to],
	}, ok && uidOK && gidOK
}

// Holds reports whether shadow(5) of the system mounted at root has a line for a name, even if passwd(5)
// has none. It keeps and parses nothing: a login waits for it, and there may be ten thousand accounts.
func Holds(ctx context.Context, root, name string) (holds bool, err error) {
	line := []byte(name + ":")
	err = Open(root).withShadow(ctx, func(_ *tree, file *os.File) error {
		return eachLine(file, func(raw []byte) { holds = holds || bytes.HasPrefix(raw, line) })
	})
	return holds, err
}
