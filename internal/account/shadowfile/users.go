package shadowfile

import "strings"

// user is an account as passwd(5) has it.
type user struct {
	name     string
	uid      uint32
	shadowed bool // the password is in shadow(5)
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

// limit returns how many names of the selection a file with this content can have at most.
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

// find returns a user's index in the list, or -1. Both files mostly have their accounts in the same
// order, so it tries the next one first: with 100,000 accounts a map lookup costs more than parsing
// the line.
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

// has is find for a name in bytes; it reports whether the user is in the list.
func (u *users) has(name []byte) bool {
	if u.next < len(u.list) && u.list[u.next].name == string(name) {
		return true
	}
	_, ok := u.index[string(name)]
	return ok
}

// readUsers reads the wanted users.
func readUsers(t *tree, wanted selection) (*users, error) {
	passwd, err := t.read("etc/passwd")
	if err != nil {
		return nil, err
	}
	return parseUsers(passwd, wanted), nil
}

func parseUsers(passwd string, wanted selection) *users {
	limit := wanted.limit(passwd)
	found := &users{list: make([]user, 0, limit), index: make(map[string]int, limit)}
	for raw := range strings.Lines(passwd) {
		if u, ok := parseUser(raw); ok && wanted.has(u.name) {
			found.add(user{u.name, u.uid, isShadowed(u.name, u.password)})
		}
	}
	return found
}

// add appends a user; the first line of a name counts, as for getpwnam(3).
func (u *users) add(one user) {
	if _, known := u.index[one.name]; known {
		return
	}
	u.index[one.name] = len(u.list)
	u.list = append(u.list, one)
}

// isShadowed reports what pam_unix takes for "the hash is in shadow(5)". Any other passwd field
// holds the hash itself, or belongs to tcb(5) or NIS+.
func isShadowed(name, password string) bool {
	return password == "x" || strings.HasPrefix(password, "##") && password[2:] == name
}

// passwdLine holds the needed fields of a line of passwd(5).
type passwdLine struct {
	name, password string
	uid, gid       uint32
}

// parseUser accepts what glibc's fgetpwent(3) does, except for NIS lines.
func parseUser(raw string) (passwdLine, bool) {
	name, password, s, ok := parseOwner(raw)
	if !ok {
		return passwdLine{}, false
	}
	uid, uidOK := s.number()
	gid, gidOK := s.number()
	return passwdLine{name, password, uid, gid}, uidOK && gidOK
}

// parseOwner reads the two texts at the start of a line of passwd(5) or group(5).
func parseOwner(raw string) (name, password string, s scanner, ok bool) {
	line, _ := readLine(raw)
	s = scanner{line: line}
	first := s.text()
	name = line[first.from:first.to]
	second := s.text()
	return name, line[second.from:second.to], s, isAccountName(name)
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
