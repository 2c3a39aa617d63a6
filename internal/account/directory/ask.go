package directory

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/shadowsync/shadowsync/internal/account/shadowfile"
)

// nss asks one service of nsswitch.conf(5). errMissing: it says that there is none. Any other error: it is not
// known whether there is.
type nss interface {
	person(service string, k key) (shadowfile.Person, error)
	group(service string, k key) (group, error)
	// memberships returns the gids of the groups that an account is in, besides its own.
	memberships(service, name string, own int) ([]int, error)
}

// key is a name, or an id if the name is empty.
type key struct {
	name string
	id   int
}

type group struct {
	name string
	gid  int
}

var (
	errMissing = errors.New("there is none")
	errSilent  = errors.New("it does not answer")
)

// system is who is asked: the services, as nsswitch.conf(5) has them.
type system struct {
	nsswitch []byte
	nss
}

// look asks each directory in turn. One that does not answer may have the account: then none is asked for it.
func (s system) look(q Query) (Person, error) {
	for _, service := range services(s.nsswitch, Accounts) {
		p, err := s.personOf(service, key{q.Name, q.UID})
		switch {
		case errors.Is(err, errMissing):
		case err != nil:
			return Person{}, err
		case q.Name == p.Name || q.Name == "" && q.UID == p.UID: // a directory may find other spellings, too
			return s.grouped(Person{Person: p, Service: service})
		}
	}
	return Person{}, errMissing
}

// known returns which of the names a directory has.
func (s system) known(names []string) (map[string]string, error) {
	found := map[string]string{}
	for _, service := range services(s.nsswitch, Accounts) {
		for _, name := range names {
			p, err := s.personOf(service, key{name: name})
			switch {
			case errors.Is(err, errMissing):
			case err != nil:
				return nil, err
			case p.Name == name && found[name] == "":
				found[name] = service
			}
		}
	}
	return found, nil
}

// personOf takes no name that the worker's answer, in JSON, would change.
func (s system) personOf(service string, k key) (shadowfile.Person, error) {
	p, err := heard(service, k, func(k key) (shadowfile.Person, error) { return s.person(service, k) })
	if err == nil && !utf8.ValidString(p.Name) {
		err = errMissing
	}
	return p, err
}

// grouped adds the groups. A name counts only if it stands for that gid on this system: a group of the
// directory is not taken for a local one of the same name.
func (s system) grouped(p Person) (Person, error) {
	gids, err := s.gids(p)
	if err != nil {
		return p, err
	}
	p.GIDs = map[string]int{}
	for _, gid := range gids {
		g, err := s.groupOf(key{id: gid})
		meant := g
		if err == nil {
			meant, err = s.groupOf(key{name: g.name})
		}
		switch {
		case errors.Is(err, errMissing):
		case err != nil:
			return p, err
		case meant == g && !slices.Contains(p.Groups, g.name):
			p.Groups = append(p.Groups, g.name)
			p.GIDs[g.name] = g.gid
		}
	}
	return p, nil
}

// gids returns the groups that the system counts an account to. It asks as getgrouplist(3) does, which does not
// tell that a service did not answer: the account would have fewer groups then, and be protected by fewer.
func (s system) gids(p Person) ([]int, error) {
	gids := []int{p.GID}
	for _, step := range memberSteps(s.nsswitch) {
		more, err := heard(step.service, key{name: p.Name}, func(k key) ([]int, error) { return s.memberships(step.service, k.name, p.GID) })
		switch gids = append(gids, more...); {
		case err != nil && !errors.Is(err, errMissing):
			return nil, err
		case err == nil && step.foundEnds, err != nil && step.missingEnds:
			return unique(gids), nil
		}
	}
	return unique(gids), nil
}

func unique(gids []int) []int {
	slices.Sort(gids)
	return slices.Compact(gids)
}

// groupOf asks the services in turn for a group. The first that has it says what it is; others may add members.
func (s system) groupOf(k key) (group, error) {
	for _, step := range groupSteps(s.nsswitch) {
		g, err := heard(step.service, k, func(k key) (group, error) { return s.group(step.service, k) })
		if err == nil || !errors.Is(err, errMissing) || step.missingEnds {
			return g, err
		}
	}
	return group{}, errMissing
}

// probe asks whether a service answers at all. Nobody needs to have that name. sss answers for "root" itself.
var probe = key{name: "shadowsync"}

// heard asks a service, and once more if it does not answer: nslcd(8) drops a client that is not served in half a
// second, as on a busy machine.
//
// A service that is up may refuse to be asked for some names, and that looks the same: nslcd for those that its option
// validnames excludes, sss for what is not UTF-8. If it answers the probe before and after, it has no such account.
func heard[T any](service string, k key, ask func(key) (T, error)) (T, error) {
	found, err := ask(k)
	if answered(err) {
		return found, err
	}
	up := func() bool {
		_, err := ask(probe)
		return answered(err)
	}
	refusable := !ordinary(k.name) && up()
	found, err = ask(k)
	switch {
	case answered(err):
		return found, err
	case refusable && up():
		return found, errMissing
	case errors.Is(err, errSilent):
		return found, &unansweredError{service}
	}
	return found, &unansweredError{fmt.Sprintf("%s: %v", service, err)}
}

func answered(err error) bool { return err == nil || errors.Is(err, errMissing) }

// ordinary reports whether no service refuses to be asked for a name.
func ordinary(name string) bool {
	return len(name) <= 64 && !strings.HasPrefix(name, "-") && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-", r)
	})
}
