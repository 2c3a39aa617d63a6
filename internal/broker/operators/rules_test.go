package operators

import (
	"testing"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
)

// The whole table, op by role: anything not in it is refused.
func TestRules(t *testing.T) {
	const nobody, user, admin, root = 0, 1, 2, 4
	want := map[operator.Op]int{
		operator.OpHello: user | admin | root, operator.OpNames: user | admin | root, operator.OpShowUser: user | admin | root,
		operator.OpSessions: user | admin | root, operator.OpActivity: user | admin | root, operator.OpSync: user | admin | root,
		operator.OpSetPassword: user | admin, operator.OpOutcome: user | admin, operator.OpCode: user | admin, operator.OpEnrol2FA: user | admin,
		operator.OpRenewCodes: user | admin, operator.OpLost2FA: user | admin, operator.OpSetMail: user | admin, operator.OpReset2FA: admin | root, operator.OpDisconnect: admin | root, operator.OpLock: admin | root,
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

// What an account with a second factor need not show a code for, and what it must have shown lately.
// Every other operation needs a code in each new shell.
func TestNeeds(t *testing.T) {
	want := map[operator.Op]codeNeed{
		operator.OpHello: byItself, operator.OpSetPassword: byItself, operator.OpOutcome: byItself, operator.OpCode: byItself,
		operator.OpEnrol2FA: byItself, operator.OpRenewCodes: byItself, operator.OpLost2FA: byItself, operator.OpSetMail: byItself, operator.OpReset2FA: byItself,
		operator.OpDisconnect: recently, operator.OpLock: recently, operator.OpUnlock: recently, operator.OpExpirePassword: recently,
		operator.OpCreateUser: recently, operator.OpEditUser: recently, operator.OpDeleteUser: recently,
	}
	for op, rule := range rules {
		if rule.need != want[op] {
			t.Errorf("%s needs %d, want %d", op, rule.need, want[op])
		}
	}
}

// TestConfigurationWasChanged: the broker waits for open dialogues before it uses another configuration.
// Meanwhile nobody acts on others with a role that it may have taken away.
func TestConfigurationWasChanged(t *testing.T) {
	f := openOffice(t, "")
	const file, text = "shadowsync.toml", "[[application]]\nname = \"app\"\nunit = \"a.service\"\naccounts = [\"user\"]\n[application.store]\ndriver = \"sqlite\"\n"
	f.Write(file, text)
	c, err := config.Load(f.Root(), "/etc/"+file)
	if err != nil {
		t.Fatal(err)
	}
	o := f.operators.with(f.Engine.With(c))
	lock := o.rules[operator.OpLock]
	for name, want := range map[string]struct {
		text    string
		uid     int
		rule    rule
		refused bool
	}{
		"as it was":               {text, 1001, lock, false},
		"a role taken away":       {"[roles]\nadmin = [\"bosses\"]\n" + text, 1001, lock, true},
		"by root":                 {"[roles]\nadmin = [\"bosses\"]\n" + text, 0, lock, false},
		"what everybody may":      {"[roles]\nadmin = [\"bosses\"]\n" + text, 1001, o.rules[operator.OpSetPassword], false},
		"one that cannot be used": {"[roles", 1001, lock, false},
	} {
		t.Run(name, func(t *testing.T) {
			f.Write(file, want.text)
			f.call.uid = want.uid
			if err := o.inForce(f.call, want.rule); (err != nil) != want.refused {
				t.Errorf("%v", err)
			}
		})
	}
}
