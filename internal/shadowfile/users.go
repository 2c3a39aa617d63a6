package shadowfile

import (
	"fmt"
	"strings"
)

// user is an account as passwd(5) knows it.
type user struct {
	name      string
	uid       uint32
	shadowed  bool   // the password is in shadow(5)
	protected string // why a store may not change it; empty: it may
}

// selection is a set of names; nil: every name.
type selection map[string]struct{}

// pick makes a selection of names; nil names: every name.
func pick(names []string) selection {
	if names == nil {
		return nil
	}
	s := make(selection, len(names))
	for _, name := range names {
		s[name] = struct{}{}
	}
	return s
}

func (s selection) has(name string) bool {
	if s == nil {
		return true
	}
	_, ok := s[name]
	return ok
}

// limit is how many names of the selection a file of this content can have.
func (s selection) limit(content string) int {
	if s == nil {
		return strings.Count(content, "\n") + 1
	}
	return len(s)
}

// users are accounts of passwd(5), in its order.
type users struct {
	list  []user
	index map[string]int
	next  int // where find looks first
}

// find returns a user's place in the list, or -1. Both files mostly have their
// accounts in the same order, so that the next one is mostly the right one: with
// 100,000 accounts a look into the map costs more than parsing the line.
func (u *users) find(name string) int {
	i := u.next
	if i >= len(u.list) || u.list[i].name != name {
		var ok bool
		if i, ok = u.index[name]; !ok {
			return -1
		}
	}
	u.next = i + 1
	return i
}

// has tells the same of a name that is no string yet.
func (u *users) has(name []byte) bool {
	if u.next < len(u.list) && u.list[u.next].name == string(name) {
		return true
	}
	_, ok := u.index[string(name)]
	return ok
}

// readUsers reads the wanted users, and which of them are protected: uid 0,
// members of the given groups, and whoever shares the uid of one of these, for
// sudo(8) and the kernel know people by uid.
func readUsers(t *tree, groups []string, wanted selection) (*users, error) {
	group, err := t.read("etc/group")
	if err != nil {
		return nil, err
	}
	passwd, err := t.read("etc/passwd")
	if err != nil {
		return nil, err
	}
	return parseUsers(passwd, newProtection(group, groups), wanted), nil
}

func parseUsers(passwd string, p *protection, wanted selection) *users {
	limit := wanted.limit(passwd)
	found := &users{list: make([]user, 0, limit), index: make(map[string]int, limit)}
	shared := map[uint32]string{}
	for raw := range strings.Lines(passwd) {
		u, ok := parseUser(raw)
		if !ok {
			continue
		}
		why := p.of(u)
		if why != "" && shared[u.uid] == "" {
			shared[u.uid] = fmt.Sprintf("same uid as %s, %s", u.name, why)
		}
		if wanted.has(u.name) {
			found.add(user{u.name, u.uid, isShadowed(u.name, u.password), why})
		}
	}
	for i := range found.list {
		if u := &found.list[i]; u.protected == "" {
			u.protected = shared[u.uid]
		}
	}
	return found
}

// add appends a user; the first of a name counts, as for getpwnam(3).
func (u *users) add(one user) {
	if _, known := u.index[one.name]; known {
		return
	}
	u.index[one.name] = len(u.list)
	u.list = append(u.list, one)
}

// isShadowed tells what pam_unix takes for "the hash is in shadow(5)". Any other
// passwd field holds the hash itself, or belongs to tcb(5) or NIS+.
func isShadowed(name, password string) bool {
	return password == "x" || strings.HasPrefix(password, "##") && password[2:] == name
}

// passwdLine is what we need of a line of passwd(5).
type passwdLine struct {
	name, password string
	uid, gid       uint32
}

// parseUser accepts what glibc's fgetpwent(3) does, but for NIS lines.
func parseUser(raw string) (passwdLine, bool) {
	name, password, s, ok := parseOwner(raw)
	if !ok {
		return passwdLine{}, false
	}
	uid, uidOK := s.number()
	gid, gidOK := s.number()
	return passwdLine{name, password, uid, gid}, uidOK && gidOK
}

// parseOwner reads the two texts that lines of passwd(5) and group(5) begin with.
func parseOwner(raw string) (name, password string, s scanner, ok bool) {
	line, _ := readLine(raw)
	s = scanner{line: line}
	first := s.text()
	name = line[first.from:first.to]
	second := s.text()
	return name, line[second.from:second.to], s, isAccountName(name)
}

// protection knows who is a member of a protected group.
type protection struct {
	gids    map[uint32]string // protected gid -> group name
	members map[string]string // account -> group name
}

// newProtection reads group(5). A group counts by its gid: one of another name
// with the same gid gives its members the same rights.
func newProtection(group string, names []string) *protection {
	p := &protection{gids: map[uint32]string{}, members: map[string]string{}}
	for name, g := range groupLines(group) {
		for _, protected := range names {
			if name == protected {
				p.gids[g.gid] = name
			}
		}
	}
	for _, g := range groupLines(group) {
		name, ok := p.gids[g.gid]
		if !ok {
			continue
		}
		for member := range strings.SplitSeq(g.members, ",") {
			p.members[strings.TrimLeft(member, " \t\n\v\f\r")] = name
		}
	}
	return p
}

// of is why the user is protected, uid sharing aside.
func (p *protection) of(u passwdLine) string {
	if u.uid == 0 {
		return "uid 0"
	}
	if group, ok := p.gids[u.gid]; ok {
		return "member of " + group
	}
	if group, ok := p.members[u.name]; ok {
		return "member of " + group
	}
	return ""
}

type groupLine struct {
	gid     uint32
	members string
}

// groupLines yields every line of group(5) that glibc's fgetgrent(3) accepts.
func groupLines(group string) func(yield func(string, groupLine) bool) {
	return func(yield func(string, groupLine) bool) {
		for raw := range strings.Lines(group) {
			name, _, s, ok := parseOwner(raw)
			if !ok {
				continue
			}
			gid, ok := s.number()
			if ok && !yield(name, groupLine{gid, s.line[s.pos:]}) {
				return
			}
		}
	}
}
