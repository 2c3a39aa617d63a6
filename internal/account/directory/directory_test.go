package directory

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/account/shadowfile"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// fake is a service. One that is silent so many times answers then.
type fake struct {
	people  []shadowfile.Person
	groups  []group
	members map[string][]int
	silent  map[string]int // by question: "anna", "7001", "group ops", "members of anna"; "": all
	refuses string         // a name that it does not answer to
	left    int            // how many questions it hears until it is stopped; 0: all
}

func (f *fake) hears(question, name string) error {
	if f.left == 1 {
		return errSilent
	}
	f.left--
	for _, q := range []string{"", question} {
		if f.silent[q] > 0 {
			f.silent[q]--
			return errSilent
		}
	}
	if f.refuses != "" && name == f.refuses {
		return errSilent
	}
	return nil
}

const always = 1 << 20

// fakes are services by their names.
type fakes map[string]*fake

func (f fakes) person(service string, k key) (shadowfile.Person, error) {
	if err := f[service].hears((Query{Name: k.name, UID: k.id}).String(), k.name); err != nil {
		return shadowfile.Person{}, err
	}
	for _, p := range f[service].people {
		if strings.EqualFold(p.Name, k.name) || k.name == "" && p.UID == k.id {
			return p, nil
		}
	}
	return shadowfile.Person{}, errMissing
}

func (f fakes) group(service string, k key) (group, error) {
	if err := f[service].hears("group "+k.name, k.name); err != nil {
		return group{}, err
	}
	for _, g := range f[service].groups {
		if g.name == k.name || k.name == "" && g.gid == k.id {
			return g, nil
		}
	}
	return group{}, errMissing
}

func (f fakes) memberships(service, name string, _ int) ([]int, error) {
	if err := f[service].hears("members of "+name, name); err != nil {
		return nil, err
	}
	if len(f[service].members[name]) == 0 {
		return nil, errMissing
	}
	return f[service].members[name], nil
}

const usual = "passwd: files sss\ngroup: files sss\n"

// usually are this machine's files and a directory. The files have a group of the name of one of the directory's.
func usually() fakes {
	return fakes{
		"files": {groups: []group{{"admins", 50}, {"ops", 1005}}, members: map[string][]int{"anna": {1005}}},
		"sss": {
			people:  []shadowfile.Person{{Name: "anna", UID: 7001, GID: 7000, FullName: "Anna"}, {Name: "j\u00fcrgen", UID: 7002, GID: 7000}},
			groups:  []group{{"staff2", 7000}, {"admins", 7002}, {"gr\u00fcn", 7003}},
			members: map[string][]int{"anna": {7002, 7003, 7099}},
		},
	}
}

func TestServices(t *testing.T) {
	for _, tt := range []struct {
		text string
		want []string
	}{
		{"", nil},
		{"passwd: files systemd\ngroup: sss\n", nil},
		{"passwd:\tfiles systemd sss # ldap\n", []string{"sss"}},
		{"passwd: compat [NOTFOUND=return success=merge] ldap sss ldap\n", []string{"ldap", "sss"}},
		{"passwd: files[SUCCESS=merge]sss", []string{"sss"}},
		{"passwd: sss\npasswd: files ldap", []string{"ldap"}},
		{"#passwd: sss\n", nil},
		{"passwd: files [NOTFOUND=return", nil},
		{"passwd: [NOTFOUND=return] sss", []string{"sss"}},
	} {
		if got := services([]byte(tt.text), Accounts); !slices.Equal(got, tt.want) {
			t.Errorf("%q: %v, want %v", tt.text, got, tt.want)
		}
	}
}

// TestSteps: where the search for groups ends.
func TestSteps(t *testing.T) {
	files := step{service: "files"}
	for _, tt := range []struct {
		text           string
		groups, member []step
	}{
		{"", []step{files}, []step{files}},
		{"group: files sss", []step{{"files", true, false}, {"sss", true, false}}, []step{files, {service: "sss"}}},
		{"group: files [NotFound=RETURN] sss", []step{{"files", true, true}, {"sss", true, false}}, []step{{"files", false, true}, {service: "sss"}}},
		{"group: files [!SUCCESS=return]\ninitgroups: sss", []step{{"files", true, true}}, []step{{"sss", true, false}}},
		{"initgroups: files [success=merge] sss [ UNAVAIL=return SUCCESS=continue ]", []step{files}, []step{files, {service: "sss"}}},
		{"initgroups: files [!UNAVAIL=return]", []step{files}, []step{{"files", true, true}}},
	} {
		if got := groupSteps([]byte(tt.text)); !slices.Equal(got, tt.groups) {
			t.Errorf("%q: groups %v, want %v", tt.text, got, tt.groups)
		}
		if got := memberSteps([]byte(tt.text)); !slices.Equal(got, tt.member) {
			t.Errorf("%q: members %v, want %v", tt.text, got, tt.member)
		}
	}
}

// TestLook: an account counts by its exact name or uid, and a group of the directory is not taken for the
// local one of the same name.
func TestLook(t *testing.T) {
	s := system{[]byte(usual), usually()}
	for _, q := range []Query{{Name: "anna"}, {UID: 7001}} {
		p, err := s.look(q)
		want := map[string]int{"ops": 1005, "staff2": 7000, "gr\u00fcn": 7003}
		if err != nil || p.Name != "anna" || p.UID != 7001 || p.FullName != "Anna" || p.Service != "sss" ||
			!slices.Equal(p.Groups, []string{"ops", "staff2", "gr\u00fcn"}) || !maps.Equal(p.GIDs, want) {
			t.Errorf("%v: %+v, %v", q, p, err)
		}
	}
	for _, q := range []Query{{Name: "ANNA"}, {Name: "bob"}, {Name: "7001"}, {UID: 9}} {
		if p, err := s.look(q); !errors.Is(err, errMissing) {
			t.Errorf("%v: %+v, %v", q, p, err)
		}
	}
	found, err := s.known([]string{"anna", "ANNA", "bob"})
	if err != nil || !maps.Equal(found, map[string]string{"anna": "sss"}) {
		t.Errorf("%v, %v", found, err)
	}
	s.nsswitch = []byte("passwd: files\n")
	if _, err := s.look(Query{Name: "anna"}); !errors.Is(err, errMissing) {
		t.Errorf("without a directory: %v", err)
	}
}

// TestMemberships: the groups are those that the system counts the account to, as nsswitch.conf has it.
func TestMemberships(t *testing.T) {
	for text, want := range map[string][]string{
		usual: {"ops", "staff2", "gr\u00fcn"},
		"passwd: sss\ngroup: files [NOTFOUND=return] sss\n":                         {"ops"}, // nobody knows a name of the others
		"passwd: sss\ngroup: files sss\ninitgroups: files\n":                        {"ops", "staff2"},
		"passwd: sss\ngroup: files sss\ninitgroups: files sss\n":                    {"ops", "staff2"},
		"passwd: sss\ngroup: files sss\ninitgroups: files [SUCCESS=continue] sss\n": {"ops", "staff2", "gr\u00fcn"},
		"passwd: sss\ngroup: sss files\ninitgroups: sss [SUCCESS=merge] files\n":    {"ops", "staff2", "admins", "gr\u00fcn"},
		"passwd: sss\n": {"ops"},
	} {
		p, err := system{[]byte(text), usually()}.look(Query{Name: "anna"})
		if err != nil || !slices.Equal(p.Groups, want) {
			t.Errorf("%q: %v, %v, want %v", text, p.Groups, err, want)
		}
	}
}

// TestSilent: what a service does not answer is not told as an account, or a group, that is not there.
func TestSilent(t *testing.T) {
	for name, tt := range map[string]struct {
		silent map[string]int
		q      Query
		by     string // empty: found
	}{
		"stopped":                       {map[string]int{"": always}, Query{Name: "anna"}, "sss"},
		"stopped, nobody":               {map[string]int{"": always}, Query{Name: "bob"}, "sss"},
		"stopped, a name that is odd":   {map[string]int{"": always}, Query{Name: "j\u00fcrgen"}, "sss"},
		"stopped, a uid":                {map[string]int{"": always}, Query{UID: 7001}, "sss"},
		"stopped, names":                {map[string]int{"": always}, Query{Names: []string{"anna"}}, "sss"},
		"about one":                     {map[string]int{"anna": always}, Query{Name: "anna"}, "sss"},
		"once":                          {map[string]int{"": 1}, Query{Name: "anna"}, ""},
		"once, odd":                     {map[string]int{"": 1}, Query{Name: "j\u00fcrgen"}, ""},
		"back meanwhile, odd":           {map[string]int{"": 3}, Query{Name: "j\u00fcrgen"}, "sss"},
		"once, a uid":                   {map[string]int{"": 1}, Query{UID: 7001}, ""},
		"about groups":                  {map[string]int{"members of anna": always}, Query{Name: "anna"}, "sss"},
		"about groups, once":            {map[string]int{"members of anna": 1}, Query{Name: "anna"}, ""},
		"about the name of a group":     {map[string]int{"group ": always}, Query{Name: "anna"}, "sss"},
		"about the meaning of a name":   {map[string]int{"group staff2": always}, Query{Name: "anna"}, "sss"},
		"about the meaning, once":       {map[string]int{"group staff2": 1}, Query{Name: "anna"}, ""},
		"about one that is not in both": {map[string]int{"bob": always}, Query{Names: []string{"anna", "bob"}}, "sss"},
	} {
		services := usually()
		services["sss"].silent = tt.silent
		a, err := system{[]byte(usual), services}.answer(tt.q)
		if err != nil || a.Silent != tt.by || (a.Person == nil) != (tt.by != "") || a.Known != nil {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
}

// TestTwoDirectories: the account may be in the one that is silent, with other rights.
func TestTwoDirectories(t *testing.T) {
	for _, silent := range []string{"sss", "ldap"} {
		services := usually()
		services["ldap"] = &fake{people: []shadowfile.Person{{Name: "bob", UID: 7100, GID: 7000}}}
		services[silent].silent = map[string]int{"": always}
		for _, name := range []string{"anna", "bob", "carl"} {
			a, err := system{[]byte("passwd: files sss ldap\ngroup: files sss ldap\n"), services}.answer(Query{Name: name})
			if err != nil || a.Silent != silent || a.Person != nil {
				t.Errorf("%s silent, %s: %+v, %v", silent, name, a, err)
			}
		}
	}
}

// TestRefused: a service that is up may not answer about a name that it can have no account of.
func TestRefused(t *testing.T) {
	for name, silent := range map[string]string{"ol\u00e9": "", "a b": "", "-x": "", "a/b": "", strings.Repeat("x", 300): "", "bob": "sss"} {
		services := usually()
		services["sss"].refuses = name
		a, err := system{[]byte(usual), services}.answer(Query{Name: name})
		if err != nil || a.Silent != silent || a.Person != nil {
			t.Errorf("%q: %+v, %v, want %q", name, a, err, silent)
		}
	}
}

// TestRefusedMeanwhile: a service that came up, or was stopped, while it was asked may have the account.
func TestRefusedMeanwhile(t *testing.T) {
	for name, f := range map[string]*fake{
		"came up": {refuses: "ol\u00e9", silent: map[string]int{"": 2}},
		"stopped": {refuses: "ol\u00e9", left: 4},
	} {
		a, err := system{[]byte("passwd: sss"), fakes{"sss": f}}.answer(Query{Name: "ol\u00e9"})
		if err != nil || a.Silent != "sss" {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
}

// TestNoUTF8: such names do not pass to the worker and back.
func TestNoUTF8(t *testing.T) {
	if _, err := Child(t.Context(), Query{Name: "an\xffna"}); !errors.Is(err, shadowsync.ErrNoAccount) {
		t.Errorf("asked: %v", err)
	}
	services := usually()
	services["sss"].people = []shadowfile.Person{{Name: "an\xffna", UID: 7001}}
	if a, err := (system{[]byte(usual), services}).answer(Query{UID: 7001}); err != nil || a.Person != nil {
		t.Errorf("found: %+v, %v", a, err)
	}
}

func TestExplain(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	failed := errors.New("it crashed")
	for name, tt := range map[string]struct {
		ctx, short context.Context
		err        error
		says       string
		is         error
	}{
		"the caller ended": {over, over, failed, "context canceled", context.Canceled},
		"silent":           {t.Context(), t.Context(), &unansweredError{"sss"}, "the directory does not answer (sss)", shadowsync.ErrUnavailable},
		"too late":         {t.Context(), over, failed, "the directory does not answer (", shadowsync.ErrUnavailable},
		"another fault":    {t.Context(), t.Context(), failed, "it crashed", shadowsync.ErrUnavailable},
	} {
		if err := explain(tt.ctx, tt.short, tt.err); !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.says) || errors.Is(err, shadowsync.ErrNoAccount) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
