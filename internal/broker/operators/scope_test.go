package operators

import (
	"errors"
	"os"
	"testing"

	"github.com/shadowsync/shadowsync/internal/account/shadowfile"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
)

// An operator who sets an account's password, or unlocks it, gets what the account administers.
func TestHoldOnAnotherApplicationsAdministrator(t *testing.T) {
	f := openOffice(t, "")
	f.operators.engine.Config.Applications = append(f.operators.engine.Config.Applications, config.Application{Name: "other", Unit: "b.service", Admins: []string{"both"}})
	refused := func(groups []string, by asker) bool {
		f.call.people = map[string]shadowfile.Person{"user": {Name: "user", UID: 1000, Groups: groups}}
		f.call.asker = by
		_, err := f.operators.changeable(t.Context(), f.call)
		var refusal *operator.Error
		if err != nil && (!errors.As(err, &refusal) || refusal.Kind != operator.NotPermitted) {
			t.Fatal(err)
		}
		return err != nil
	}
	one := f.call.asker
	two := one
	two.scope = []string{"app", "other"}
	root := asker{name: "root", role: operator.RoleAdmin, scope: []string{"app"}}
	for _, tt := range []struct {
		groups []string
		by     asker
		want   bool
	}{{nil, one, false}, {[]string{"both"}, one, true}, {[]string{"both"}, two, false}, {[]string{"both"}, root, false}} {
		if got := refused(tt.groups, tt.by); got != tt.want {
			t.Errorf("an administrator of %v changes one in %v: refused %v", tt.by.scope, tt.groups, got)
		}
	}
	if refused([]string{"both"}, one); !f.Audited("edit user", "refused: user administers another application") {
		t.Error("the attempt is not on record")
	}
}

// A role gives no one more than its giver has.
func TestGroupOf(t *testing.T) {
	const rest = "[[application]]\nunit = \"a.service\"\naccounts = [\"ann\"]\nadmins = [\"a-only\"]\n" +
		"[[application]]\nunit = \"b.service\"\naccounts = [\"bob\"]\nadmins = [\"b-only\", \"shared\"]\n"
	for _, tt := range []struct {
		roles string
		role  operator.Role
		scope []string
		want  string // empty: refused
	}{
		{`admin = ["net"]`, operator.RoleAdmin, []string{"a"}, "net"}, // of its own application alone
		{`admin = ["shared", "net"]`, operator.RoleAdmin, []string{"a"}, "net"},
		{`admin = ["shared"]`, operator.RoleAdmin, []string{"a"}, "a-only"},
		{`admin = ["shared"]`, operator.RoleAdmin, []string{"a", "b"}, "shared"},
		{`user = ["shared"]`, operator.RoleUser, []string{"a"}, ""},
		{`user = ["plain"]`, operator.RoleUser, []string{"a"}, "plain"},
	} {
		o := usersOf(t, "[roles]\n"+tt.roles+"\n"+rest)
		c := &call{asker: asker{name: "ann", uid: 1, scope: tt.scope}}
		group, err := o.groupOf(c, tt.role, o.engine.Config.Applications[0])
		if group != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s, given by an administrator of %v: %q, %v, want %q", tt.roles, tt.scope, group, err, tt.want)
		}
		u := operator.NewUser{Name: "newone", FullName: "x", Role: tt.role, Application: "a"}
		if err := checked(o, &call{asker: c.asker, files: make([]*os.File, 1)}, &u); (err == nil) != (tt.want != "") {
			t.Errorf("%s: create user by an administrator of %v: %v", tt.roles, tt.scope, err)
		}
	}
}
