package operators

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/account/protect"
	"github.com/shadowsync/shadowsync/internal/account/shadowfile"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
)

const userConfiguration = `[roles]
admin = ["operators"]
[[application]]
name = "app"
unit = "a.service"
accounts = ["admin", "user"]
`

func usersOf(t *testing.T, text string) *Server {
	t.Helper()
	c, err := config.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return New(Options{}).with(&engine.Engine{Config: c, Protect: protect.New(protect.Options{Root: t.TempDir(), Groups: c.Protected.Groups})})
}

// checked makes both checks of a new account.
func checked(o *Server, c *call, u *operator.NewUser) error {
	a, err := o.checkName(c, *u)
	if err != nil {
		return err
	}
	return o.checkNew(c, u, a)
}

func TestCheckNew(t *testing.T) {
	good := operator.NewUser{Name: "joe", FullName: "Joe Developer", Role: operator.RoleUser}
	with := func(change func(*operator.NewUser)) operator.NewUser {
		u := good
		change(&u)
		return u
	}
	tests := []struct {
		name string
		text string
		user operator.NewUser
		kind operator.Kind // empty: it may be created
	}{
		{"good", userConfiguration, good, ""},
		{"administrator", userConfiguration, with(func(u *operator.NewUser) { u.Role = operator.RoleAdmin }), ""},
		{"application", userConfiguration, with(func(u *operator.NewUser) { u.Application = "app" }), ""},
		{"another application", userConfiguration, with(func(u *operator.NewUser) { u.Application = "../x" }), operator.Usage},
		{"no name", userConfiguration, with(func(u *operator.NewUser) { u.Name = "" }), operator.Usage},
		{"an option for a name", userConfiguration, with(func(u *operator.NewUser) { u.Name = "-o" }), operator.Usage},
		{"a path for a name", userConfiguration, with(func(u *operator.NewUser) { u.Name = "../joe" }), operator.Usage},
		{"a long name", userConfiguration, with(func(u *operator.NewUser) { u.Name = strings.Repeat("j", 33) }), operator.Usage},
		{"taken", userConfiguration, with(func(u *operator.NewUser) { u.Name = "daemon" }), operator.Usage},
		{"a field more", userConfiguration, with(func(u *operator.NewUser) { u.FullName = "Joe:/root" }), operator.Usage},
		{"a line more", userConfiguration, with(func(u *operator.NewUser) { u.FullName = "Joe\nroot::0:0" }), operator.Usage},
		{"another shell", userConfiguration, with(func(u *operator.NewUser) { u.Shell = "/bin/bash" }), operator.Usage},
		{"another role", userConfiguration, with(func(u *operator.NewUser) { u.Role = "root" }), operator.Usage},
		{
			"no group of administrators", strings.Replace(userConfiguration, `"operators"`, "", 1),
			with(func(u *operator.NewUser) { u.Role = operator.RoleAdmin }), operator.NotPermitted,
		},
		{
			"a group that may become root", strings.Replace(userConfiguration, "operators", "sudo", 1),
			with(func(u *operator.NewUser) { u.Role = operator.RoleAdmin }), operator.NotPermitted,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := &call{asker: asker{scope: []string{"app"}}, people: map[string]shadowfile.Person{"daemon": {Name: "daemon"}}, files: make([]*os.File, 1)}
			err := checked(usersOf(t, tt.text), c, &tt.user)
			var refusal *operator.Error
			if errors.As(err, &refusal) != (tt.kind != "") || refusal != nil && refusal.Kind != tt.kind || refusal == nil && err != nil {
				t.Errorf("got %v, want kind %q", err, tt.kind)
			}
			if err == nil && tt.user.Shell != "/usr/bin/pcli" {
				t.Errorf("its shell is %q", tt.user.Shell)
			}
		})
	}
}

// A new account belongs to the application that the asker names, else to the asker's own.
func TestApplicationFor(t *testing.T) {
	o := usersOf(t, "[roles]\nadmin = [\"net\"]\n"+
		"[[application]]\nunit = \"a.service\"\naccounts = [\"ann\"]\nadmins = [\"both\"]\n"+
		"[[application]]\nunit = \"b.service\"\naccounts = [\"bob\"]\nadmins = [\"both\"]\n")
	for _, tt := range []struct {
		by, named, want string
		scope           []string
	}{
		{"ann", "", "a", []string{"a", "b"}},
		{"bob", "", "b", []string{"a", "b"}},
		{"bob", "a", "a", []string{"a", "b"}},
		{"bob", "a", "", []string{"b"}},
		{"eve", "", "b", []string{"b"}},
		{"eve", "b", "b", []string{"a", "b"}},
		{"eve", "", "", []string{"a", "b"}}, // nobody can tell which
		{"root", "c", "", []string{"a", "b"}},
	} {
		c := &call{asker: asker{name: tt.by, scope: tt.scope}}
		a, err := o.checkName(c, operator.NewUser{Name: "joe", Application: tt.named})
		if a.Name != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s of %v, application %q: %q, %v; want %q", tt.by, tt.scope, tt.named, a.Name, err, tt.want)
		}
	}
}

// A store that takes no new accounts says so before anybody has answered questions.
func TestStoreTakesNone(t *testing.T) {
	f := openOffice(t, "")
	f.call.request = operator.Request{Op: operator.OpCreateUser, User: "joe", Args: []byte(`{"name":"joe","check":true}`)}
	err := f.operators.createUser(t.Context(), f.call)
	var refusal *operator.Error
	if !errors.As(err, &refusal) || refusal.Kind != operator.Conflict || !strings.Contains(refusal.Text, "takes no new accounts: create joe in app first") {
		t.Errorf("the operator is told %v", err)
	}
	if !f.Audited("create user", "failed: app's credential store") {
		t.Error("the attempt is not in the audit")
	}
}
