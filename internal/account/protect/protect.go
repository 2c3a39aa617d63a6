// Package protect decides which accounts are protected: with the password of such an account one
// could become root in a second step. A store is not trusted with them, and operators may not
// change them, unless the configuration says so.
//
// Everything that asks gets the same definition. An account is protected if
//
//   - it has uid 0, under any name,
//   - it is in one of Groups or of the configured groups: by its primary group, by group(5), by
//     another group with the same gid, or by gshadow(5), which lets its members and administrators
//     join later,
//   - sudo(8) lets it run anything at all,
//   - it shares its uid with a name of which any of that is true, or
//   - it cannot be told: something could not be read or asked. The reason says what.
//
// Members of the configured administrator groups are protected against stores only.
//
// Accounts and groups come from files. This package does not ask NSS, which may wait for a network.
// So it does not see members that a directory adds to one of Groups; but sudo, which runs in its
// own process, knows them where its rules name that group.
//
//	protect.go  Finder, and the definition
//	groups.go   the groups that amount to root
//	sudo.go     what sudo allows
//	recall.go   sudo's remembered answers
package protect

import (
	"context"
	"fmt"
	"slices"

	"github.com/shadowsync/shadowsync/internal/account/shadowfile"
)

// Standing says how far an account is protected.
type Standing struct {
	// Why says why neither an operator nor a store may change the account; empty: no such reason.
	Why string
	// Administrator is a reason that applies only to stores.
	Administrator string
	// Sudo: the reason is sudo's rules.
	Sudo bool
	// Later: there was no time to ask sudo; the next call may have time.
	Later bool
}

// CannotTell begins the reason of an account that is protected because that cannot be told.
const CannotTell = "cannot tell whether it is powerful"

// AgainstStores returns why a store may not change the account; empty: it may.
func (s Standing) AgainstStores() string {
	if s.Why != "" {
		return s.Why
	}
	return s.Administrator
}

// Options are what the definition depends on.
type Options struct {
	Root   string   // "/" or the mount point of a system
	Groups []string // protected in addition to Groups
	Admins []string // groups of the operators' administrators
	// Ask asks sudo; nil: AskSudo, which needs a process that sees what sudo needs.
	Ask func(ctx context.Context, names []string) (map[string]Answer, error)
}

// Finder finds the protected accounts of one system. Several goroutines may use it.
type Finder struct {
	Options
	recall recall
}

// New makes a finder.
func New(o Options) *Finder {
	o.Groups = slices.Concat(Groups, o.Groups)
	return &Finder{Options: o}
}

// Group reports whether a group protects its members. It compares only the name, so that it also
// works for a group that does not exist yet; Of also finds members of other groups with the same
// gid.
func (f *Finder) Group(name string) bool { return slices.Contains(f.Groups, name) }

// Of looks at the named accounts. It never fails: an account of which it cannot be told is
// protected.
func (f *Finder) Of(ctx context.Context, names ...string) map[string]Standing {
	return f.find(ctx, names, true)
}

// Glance looks at the files and sudo's remembered answers, for lists. It asks no other process.
func (f *Finder) Glance(ctx context.Context, names ...string) map[string]Standing {
	return f.find(ctx, names, false)
}

// OfStranger looks at an account that is not in passwd(5), with the groups that a directory gives it.
func (f *Finder) OfStranger(ctx context.Context, l shadowfile.Login, groups map[string]int) Standing {
	more := shadowfile.Census{Logins: []shadowfile.Login{l}}
	for name, gid := range groups {
		more.Groups = append(more.Groups, shadowfile.Group{Name: name, GID: uint32(gid), Members: []string{l.Name}})
	}
	return f.findIn(ctx, more, []string{l.Name}, true)[l.Name]
}

func (f *Finder) find(ctx context.Context, names []string, ask bool) map[string]Standing {
	return f.findIn(ctx, shadowfile.Census{}, names, ask)
}

// findIn looks at accounts of the files and of a census of others.
func (f *Finder) findIn(ctx context.Context, more shadowfile.Census, names []string, ask bool) map[string]Standing {
	standings := make(map[string]Standing, len(names))
	if len(names) == 0 {
		return standings
	}
	census, err := shadowfile.Count(ctx, f.Root)
	if err != nil {
		for _, name := range names {
			standings[name] = Standing{Why: fmt.Sprintf("%s: %v", CannotTell, err)}
		}
		return standings
	}
	census.Logins, census.Groups = append(census.Logins, more.Logins...), append(census.Groups, more.Groups...)
	files := newFiles(census, f.Groups, f.Admins)
	var open []string
	for _, name := range names {
		s := files.of(name)
		if s.Why == "" {
			open = append(open, files.namesakes(name)...)
		}
		standings[name] = s
	}
	if len(open) == 0 {
		return standings
	}
	rules := f.rules(ctx, open, ask)
	for _, name := range names {
		if s := standings[name]; s.Why == "" {
			standings[name] = files.bySudo(name, s, rules)
		}
	}
	return standings
}

// files is what the account files say.
type files struct {
	uids   map[string]uint32   // the first line of a name counts, as for getpwnam(3)
	shared map[uint32][]string // names of a uid
	powers map[string]string   // name -> why
	admins map[string]string
}

func newFiles(c shadowfile.Census, groups, admins []string) *files {
	f := &files{uids: map[string]uint32{}, shared: map[uint32][]string{}, powers: members(c, groups, true), admins: members(c, admins, false)}
	for _, l := range c.Logins {
		if _, twice := f.uids[l.Name]; !twice {
			f.uids[l.Name] = l.UID
		}
		f.shared[l.UID] = append(f.shared[l.UID], l.Name)
		if l.UID == 0 {
			f.powers[l.Name] = "uid 0"
		}
	}
	return f
}

// members returns the accounts in groups of these names, each with the group. A group counts by its
// gid: a group of another name with the same gid gives its members the same rights.
func members(c shadowfile.Census, names []string, zero bool) map[string]string {
	gids := map[uint32]string{}
	if zero {
		gids[0] = "the group of gid 0"
	}
	named := make(map[string]bool, len(names))
	for _, name := range names {
		named[name] = true
	}
	for _, g := range c.Groups {
		if named[g.Name] && !g.Shadowed {
			gids[g.GID] = g.Name
		}
	}
	aliases := map[string]string{} // every name of such a gid
	for _, g := range c.Groups {
		if name, ok := gids[g.GID]; ok && !g.Shadowed {
			aliases[g.Name] = name
		}
	}
	in := map[string]string{}
	for _, g := range c.Groups {
		name, ok := aliases[g.Name]
		for _, member := range g.Members {
			if ok && in[member] == "" {
				in[member] = "member of " + name
			}
		}
	}
	for _, l := range c.Logins {
		if name, ok := gids[l.GID]; ok {
			in[l.Name] = "member of " + name
		}
	}
	return in
}

func (f *files) namesakes(name string) []string { return f.shared[f.uids[name]] }

// of looks at an account by the files, together with the accounts that share its uid, because sudo
// and the kernel identify users by uid.
func (f *files) of(name string) Standing {
	uid, there := f.uids[name]
	if !there {
		return Standing{Why: CannotTell + ": it is not in passwd(5)"}
	}
	s := Standing{Why: f.powers[name]}
	if group := f.admins[name]; group != "" {
		s.Administrator = "an administrator of pcli, " + group
	}
	for _, other := range f.shared[uid] {
		if why := f.powers[other]; why != "" && s.Why == "" {
			s.Why = fmt.Sprintf("same uid as %s, %s", other, why)
		}
		if group := f.admins[other]; group != "" && s.Administrator == "" {
			s.Administrator = fmt.Sprintf("same uid as %s, an administrator of pcli, %s", other, group)
		}
	}
	return s
}

// bySudo completes a standing with sudo's answers about every name of the uid.
func (f *files) bySudo(name string, s Standing, rules map[string]Answer) Standing {
	for _, other := range f.namesakes(name) {
		answer := rules[other]
		if answer.Unknown != "" && s.Why == "" {
			s.Why, s.Later = CannotTell+": "+answer.Unknown, answer.Later
		}
		if answer.Allows { // certain, even if other answers are unknown
			s.Why, s.Sudo, s.Later = "sudo's rules let it run commands", true, false
			if other != name {
				s.Why = fmt.Sprintf("same uid as %s, whom sudo's rules let run commands", other)
			}
			return s
		}
	}
	return s
}
