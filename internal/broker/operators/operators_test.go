package operators

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/account/shadowfile"
	"github.com/shadowsync/shadowsync/internal/broker/limit"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
)

func TestRoleOf(t *testing.T) {
	c, err := config.Parse([]byte("[roles]\nadmin = [\"net\"]\n[[application]]\nunit = \"a.service\"\naccounts = [\"admin\", \"user\"]\n"))
	if err != nil {
		t.Fatal(err)
	}
	narrow := *c
	narrow.Roles.User = []string{"ops"}
	tests := []struct {
		name   string
		config *config.Config
		person shadowfile.Person
		uid    int
		realm  factor.Realm
		want   operator.Role
	}{
		{"root", c, shadowfile.Person{Name: "root"}, 0, factor.Local, operator.RoleAdmin},
		{"administrator", c, shadowfile.Person{Name: "admin", Groups: []string{"net"}}, 1, factor.Local, operator.RoleAdmin},
		{"managed", c, shadowfile.Person{Name: "user", Groups: []string{"x"}}, 1, factor.Local, operator.RoleUser},
		{"managed, but users are others", &narrow, shadowfile.Person{Name: "user", Groups: []string{"x"}}, 1, factor.Local, operator.RoleNone},
		{"managed user", &narrow, shadowfile.Person{Name: "user", Groups: []string{"ops"}}, 1, factor.Local, operator.RoleUser},
		{"not managed", c, shadowfile.Person{Name: "other"}, 1, factor.Local, operator.RoleNone},
		{"unknown", c, shadowfile.Person{}, 1, factor.Local, operator.RoleNone},
		{"of a directory", c, shadowfile.Person{Name: "other", Groups: []string{"x"}}, 1, factor.LDAP, operator.RoleUser},
		{"of a directory, but users are others", &narrow, shadowfile.Person{Name: "other", Groups: []string{"x"}}, 1, factor.LDAP, operator.RoleNone},
		{"of a directory, and named by the roles", &narrow, shadowfile.Person{Name: "other", Groups: []string{"ops"}}, 1, factor.LDAP, operator.RoleUser},
		{"administrator of a directory", c, shadowfile.Person{Name: "other", Groups: []string{"net"}}, 1, factor.LDAP, operator.RoleAdmin},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := roleOf(tt.config, tt.person, tt.uid, tt.realm); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// An account that a role may not see gets exactly the answer for a missing account.
func TestChosen(t *testing.T) {
	c, err := config.Parse([]byte("[[application]]\nunit = \"a.service\"\naccounts = [\"user\", \"admin\"]\n"))
	if err != nil {
		t.Fatal(err)
	}
	o := New(Options{}).with(&engine.Engine{Config: c})
	ask := func(a asker, name string) ([]string, string) {
		names, err := o.chosen(&call{asker: a, request: operator.Request{User: name}})
		if err != nil {
			return names, err.Error()
		}
		return names, ""
	}
	user := asker{name: "user", uid: 1, role: operator.RoleUser}
	admin := asker{name: "admin", uid: 2, role: operator.RoleAdmin, scope: []string{"a"}}
	tests := []struct {
		by        asker
		name      string
		want      []string
		complaint string
	}{
		{user, "", []string{"user"}, ""},
		{user, "user", []string{"user"}, ""},
		{user, operator.All, []string{"user"}, ""},
		{user, "admin", nil, "no such account: admin"},
		{user, "ghost", nil, "no such account: ghost"},
		{user, "root", nil, "no such account: root"},
		{admin, "user", []string{"user"}, ""},
		{admin, operator.All, []string{"admin", "user"}, ""},
		{admin, "root", nil, "no such account: root"},
		{admin, "gh\x1b]ost\n", nil, `no such account: gh\x1b]ost\n`},
	}
	for _, tt := range tests {
		names, complaint := ask(tt.by, tt.name)
		if !slices.Equal(names, tt.want) || complaint != tt.complaint {
			t.Errorf("%s asks for %q: %q, %q", tt.by.name, tt.name, names, complaint)
		}
	}
}

// Attempts count as failures until they succeed, so that parallel ones are limited too.
func TestAttemptsThatCountAtOnce(t *testing.T) {
	var attempts limit.Tries
	now := time.Now()
	for range limit.Free {
		if wait := attempts.Begin("admin", now); wait != 0 {
			t.Fatalf("waits %v for a free one", wait)
		}
	}
	if wait := attempts.Begin("admin", now); wait != limit.FirstDelay {
		t.Errorf("waits %v after that", wait)
	}
	attempts.Spare("admin")
	attempts.Spare("nobody")
	if wait := attempts.Begin("admin", now); wait != 0 {
		t.Errorf("waits %v after one succeeded", wait)
	}
	if wait := attempts.Begin("other", now); wait != 0 {
		t.Errorf("somebody else waits %v", wait)
	}
}

// A flood of attempts does not fill the trail; the trail says how many it leaves out.
func TestAttemptsThatAreDue(t *testing.T) {
	var attempts limit.Tries
	now := time.Now()
	told := 0
	for range 100 {
		if unsaid, due := attempts.Due("1000", now); due {
			told++
			if unsaid != 0 {
				t.Errorf("%d unsaid before any was", unsaid)
			}
		}
	}
	if _, due := attempts.Due("1001", now); told != limit.Free || !due {
		t.Errorf("%d of 100 were told, and another uid's: %v", told, due)
	}
	if unsaid, due := attempts.Due("1000", now.Add(limit.FirstDelay)); !due || unsaid != 100-limit.Free {
		t.Errorf("later: due %v, %d unsaid", due, unsaid)
	}
	if unsaid, due := attempts.Due("1000", now.Add(2*limit.Forget)); !due || unsaid != 0 {
		t.Errorf("much later: due %v, %d unsaid", due, unsaid)
	}
}

// Which accounts an administrator administers: a managed one, those of its own application and of
// applications that name one of its groups.
func TestScope(t *testing.T) {
	c, err := config.Parse([]byte("[roles]\nadmin = [\"net\"]\n" +
		"[[application]]\nunit = \"a.service\"\naccounts = [\"ann\", \"bob\"]\n" +
		"[[application]]\nunit = \"b.service\"\naccounts = [\"cid\", \"dot\"]\nadmins = [\"both\"]\n"))
	if err != nil {
		t.Fatal(err)
	}
	o := New(Options{}).with(&engine.Engine{Config: c})
	tests := []struct {
		name   string
		groups []string
		uid    int
		role   operator.Role
		sees   []string
	}{
		{"ann", []string{"net"}, 1, operator.RoleAdmin, []string{"ann", "bob"}},
		{"cid", []string{"net"}, 1, operator.RoleAdmin, []string{"cid", "dot"}},
		{"ann", []string{"both"}, 1, operator.RoleAdmin, []string{"ann", "cid", "dot"}}, // of the other application, and a user of its own
		{"ann", []string{"both", "net"}, 1, operator.RoleAdmin, []string{"ann", "bob", "cid", "dot"}},
		{"dot", []string{"both"}, 1, operator.RoleAdmin, []string{"cid", "dot"}},
		{"person", []string{"net"}, 1, operator.RoleAdmin, []string{"ann", "bob", "cid", "dot"}}, // no store controls this account
		{"person", []string{"both"}, 1, operator.RoleAdmin, []string{"cid", "dot"}},
		{"person", nil, 1, operator.RoleNone, nil},
		{"ann", nil, 1, operator.RoleUser, []string{"ann"}},
		{"root", nil, 0, operator.RoleAdmin, []string{"ann", "bob", "cid", "dot"}},
		{"", []string{"net", "both"}, 1, operator.RoleNone, nil},
	}
	for _, tt := range tests {
		p := shadowfile.Person{Name: tt.name, UID: tt.uid, Groups: tt.groups}
		a := asker{name: tt.name, uid: tt.uid, role: roleOf(c, p, tt.uid, factor.Local), scope: scopeOf(c, p, tt.uid)}
		if sees := o.visible(a); a.role != tt.role || !slices.Equal(sees, tt.sees) {
			t.Errorf("%s in %v: %q sees %v, want %q, %v", tt.name, tt.groups, a.role, sees, tt.role, tt.sees)
		}
		for _, name := range []string{"ann", "bob", "cid", "dot"} {
			_, err := o.chosen(&call{asker: a, request: operator.Request{User: name}})
			if (err == nil) != slices.Contains(tt.sees, name) {
				t.Errorf("%s in %v chooses %s: %v", tt.name, tt.groups, name, err)
			}
		}
		u := operator.NewUser{Name: "newone", FullName: "x", Role: operator.RoleUser, Application: "b"}
		err := checked(o, &call{asker: a, files: make([]*os.File, 1)}, &u)
		if may := slices.Contains(a.scope, "b"); (err == nil) != may {
			t.Errorf("%s in %v creates an account of b: %v", tt.name, tt.groups, err)
		}
	}
}
