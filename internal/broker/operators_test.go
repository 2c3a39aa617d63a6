package broker

import (
	"slices"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/operator"
	"github.com/shadowsync/shadowsync/internal/shadowfile"
)

// The whole table, op by role: what is not in it is refused.
func TestRules(t *testing.T) {
	const nobody, user, admin, root = 0, 1, 2, 4
	want := map[operator.Op]int{
		operator.OpHello: user | admin | root, operator.OpNames: user | admin | root, operator.OpShowUser: user | admin | root,
		operator.OpSessions: user | admin | root, operator.OpActivity: user | admin | root, operator.OpSync: user | admin | root,
		operator.OpSetPassword: user | admin, operator.OpOutcome: user | admin, operator.OpDisconnect: admin | root, operator.OpLock: admin | root,
		operator.OpUnlock: admin | root, operator.OpExpirePassword: admin | root,
		operator.OpCreateUser: admin | root, operator.OpEditUser: admin | root, operator.OpDeleteUser: admin | root,
		operator.OpRootTool: nobody, "": nobody, "pam-changed": nobody, "HELLO": nobody, "shutdown": nobody,
	}
	askers := map[int]asker{
		nobody: {name: "x", uid: 1}, user: {name: "x", uid: 1, role: operator.RoleUser},
		admin: {name: "x", uid: 1, role: operator.RoleAdmin}, root: {name: "root", uid: 0, role: operator.RoleAdmin},
	}
	for op := range rules {
		if _, listed := want[op]; !listed {
			t.Errorf("%s is not in this test", op)
		}
	}
	for op, who := range want {
		for role, a := range askers {
			if may := rules[op].may(a); may != (role != nobody && who&role != 0) {
				t.Errorf("%q by %+v: %v", op, a, may)
			}
		}
	}
}

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
		want   operator.Role
	}{
		{"root", c, shadowfile.Person{Name: "root"}, 0, operator.RoleAdmin},
		{"administrator", c, shadowfile.Person{Name: "admin", Groups: []string{"net"}}, 1, operator.RoleAdmin},
		{"managed", c, shadowfile.Person{Name: "user", Groups: []string{"x"}}, 1, operator.RoleUser},
		{"managed, but users are others", &narrow, shadowfile.Person{Name: "user", Groups: []string{"x"}}, 1, operator.RoleNone},
		{"managed user", &narrow, shadowfile.Person{Name: "user", Groups: []string{"ops"}}, 1, operator.RoleUser},
		{"not managed", c, shadowfile.Person{Name: "other"}, 1, operator.RoleNone},
		{"unknown", c, shadowfile.Person{}, 1, operator.RoleNone},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := roleOf(tt.config, tt.person, tt.uid); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// What a role may not see is answered exactly like what does not exist.
func TestChosen(t *testing.T) {
	c, err := config.Parse([]byte("[[application]]\nunit = \"a.service\"\naccounts = [\"user\", \"admin\"]\n"))
	if err != nil {
		t.Fatal(err)
	}
	o := &operators{engine: &engine.Engine{Config: c}, kept: newKept()}
	ask := func(a asker, name string) ([]string, string) {
		names, err := o.chosen(&call{asker: a, request: operator.Request{User: name}})
		if err != nil {
			return names, err.Error()
		}
		return names, ""
	}
	user := asker{name: "user", uid: 1, role: operator.RoleUser}
	admin := asker{name: "admin", uid: 2, role: operator.RoleAdmin}
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

// A flood of attempts does not fill the trail, which says how many it leaves out.
func TestAttemptsThatAreDue(t *testing.T) {
	var attempts tries
	now := time.Now()
	told := 0
	for range 100 {
		if unsaid, due := attempts.due("1000", now); due {
			told++
			if unsaid != 0 {
				t.Errorf("%d unsaid before any was", unsaid)
			}
		}
	}
	if _, due := attempts.due("1001", now); told != freeTries || !due {
		t.Errorf("%d of 100 were told, and another uid's: %v", told, due)
	}
	if unsaid, due := attempts.due("1000", now.Add(firstDelay)); !due || unsaid != 100-freeTries {
		t.Errorf("later: due %v, %d unsaid", due, unsaid)
	}
	if unsaid, due := attempts.due("1000", now.Add(2*forgetTries)); !due || unsaid != 0 {
		t.Errorf("much later: due %v, %d unsaid", due, unsaid)
	}
}
