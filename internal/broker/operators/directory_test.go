package operators

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/account/directory"
	"github.com/shadowsync/shadowsync/internal/account/shadowfile"
	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// ofDirectory lets accounts of a directory in, and answers for it: the accounts by their names.
func (f *office) ofDirectory(people map[string]directory.Person) (asked *int) {
	asked = new(int)
	f.Engine.Config.SecondFactor.LDAP = true
	f.operators.Directory = func(_ context.Context, q directory.Query) (directory.Person, error) {
		*asked++
		for name, p := range people {
			if name == q.Name || q.Name == "" && p.UID == q.UID {
				return p, nil
			}
		}
		return directory.Person{}, shadowsync.ErrNoAccount
	}
	return asked
}

func person(name string, uid int, groups map[string]int) directory.Person {
	p := directory.Person{Person: shadowfile.Person{Name: name, UID: uid, GID: uid}, GIDs: groups, Service: "sss"}
	for name := range groups {
		p.Groups = append(p.Groups, name)
	}
	return p
}

// identified is a call from a uid.
func (f *office) identified(t *testing.T, uid int) (*call, error) {
	t.Helper()
	c := &call{conn: f.call.conn, arrived: time.Now()}
	err := f.operators.identify(t.Context(), socket.Peer{UID: uid, PID: os.Getpid()}, c)
	return c, err
}

// TestIdentifyInDirectory: an account of a directory gets in only if the configuration says so, with no
// rights but its own, and never under the name or uid of a local account.
func TestIdentifyInDirectory(t *testing.T) {
	f := openOffice(t, "[roles]\nadmin = [\"net\"]\n")
	people := map[string]directory.Person{
		"anna": person("anna", 7001, nil), "boss": person("boss", 7002, map[string]int{"net": 7900}), "user": person("user", 7003, nil),
		"left": person("left", 7004, nil), "twin": person("twin", 1000, nil), "zero": person("zero", 0, nil),
	}
	shadow := filepath.Join(f.Engine.Root(), "etc/shadow")
	text, err := os.ReadFile(shadow)
	if err == nil {
		err = os.WriteFile(shadow, append(text, "left:*:1::::::\n"...), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	local, err := f.identified(t, 1000)
	if err != nil || local.name == "" {
		t.Fatalf("uid 1000 is %q: %v", local.name, err)
	}
	asked := f.ofDirectory(people)
	f.Engine.Config.SecondFactor.LDAP = false
	if c, err := f.identified(t, 7001); err != nil || c.name != "" || c.role != operator.RoleNone || *asked > 0 {
		t.Errorf("not let in: %q, %q, %v, asked %d times", c.name, c.role, err, *asked)
	}
	f.Engine.Config.SecondFactor.LDAP = true
	for _, tt := range []struct {
		uid   int
		name  string
		realm factor.Realm
		role  operator.Role
		sees  []string
	}{
		{7001, "anna", factor.LDAP, operator.RoleUser, []string{"anna"}},
		{7002, "boss", factor.LDAP, operator.RoleAdmin, []string{"boss", "user"}},
		{7003, "", factor.Local, operator.RoleNone, nil}, // the name is local
		{7004, "", factor.Local, operator.RoleNone, nil}, // the name is in shadow(5)
		{7005, "", factor.Local, operator.RoleNone, nil},
		{1000, local.name, factor.Local, local.role, f.operators.visible(local.asker)},
	} {
		c, err := f.identified(t, tt.uid)
		if err != nil || c.name != tt.name || c.realm != tt.realm || c.role != tt.role {
			t.Errorf("uid %d: %q of %s is %q, %v", tt.uid, c.name, c.realm, c.role, err)
		}
		if sees := f.operators.visible(c.asker); !slices.Equal(sees, tt.sees) {
			t.Errorf("uid %d sees %v", tt.uid, sees)
		}
	}
	before := *asked
	if _, err := f.identified(t, 7001); err != nil || *asked != before {
		t.Errorf("asked again at once: %v", err)
	}
}

// TestSilentDirectory: what could not be asked lets nobody in, and those who were there before are not
// kept out by others' uids.
func TestSilentDirectory(t *testing.T) {
	f := openOffice(t, "")
	asked := f.ofDirectory(map[string]directory.Person{"anna": person("anna", 7001, nil)})
	if c, err := f.identified(t, 7001); err != nil || c.name != "anna" || f.operators.Place(socket.Peer{UID: 7001}) != 7001 {
		t.Fatalf("%q, %v", c.name, err)
	}
	for uid := 100_000; *asked <= lookUpsAtOnce && uid < 101_000; uid++ {
		if _, err := f.identified(t, uid); err != nil {
			break
		}
	}
	if _, err := f.identified(t, 200_000); !errors.Is(err, errNoDirectory) {
		t.Errorf("many uids of nobody: %v", err)
	}
	f.operators.lookedUp.keep(7001, lookUp{person: person("anna", 7001, nil)}, time.Now()) // out of date
	if c, err := f.identified(t, 7001); err != nil || c.name != "anna" {
		t.Errorf("a known account among them: %v", err)
	}
	f.operators.lookedUp.keep(7001, lookUp{person: person("anna", 7001, nil)}, time.Now())
	f.operators.Directory = func(context.Context, directory.Query) (directory.Person, error) {
		return directory.Person{}, shadowsync.ErrUnavailable
	}
	if c, err := f.identified(t, 7001); kindOf(err) != operator.Unavailable || c.name != "" {
		t.Errorf("a silent directory: %q, %v", c.name, err)
	}
}

// TestResetInDirectory: administrators of everything reset the factor of an account of a directory, and
// leave alone what is kept of a local account of that name.
func TestResetInDirectory(t *testing.T) {
	f := openOffice(t, "[protected]\ngroups = [\"safe\"]\n")
	f.ofDirectory(map[string]directory.Person{"anna": person("anna", 7001, nil), "safe": person("safe", 7002, map[string]int{"safe": 7900}), "user": person("user", 7003, nil)})
	f.enrols(t, "user")
	for _, tt := range []struct {
		name  string
		scope []string
		want  operator.Kind
	}{
		{"anna", []string{"app"}, ""},
		{"anna", nil, operator.NotPermitted},
		{"safe", []string{"app"}, operator.NotPermitted},
		{"user", []string{"app"}, operator.NoAccount}, // it is local
		{"nobody", []string{"app"}, operator.NoAccount},
		{"", []string{"app"}, operator.NoAccount},
	} {
		c := f.from("admin", 10)
		c.scope = tt.scope
		c.people = map[string]shadowfile.Person{"user": {Name: "user", UID: 1000}}
		c.request = operator.Request{Op: operator.OpReset2FA, User: tt.name, Args: []byte(`{"realm":"ldap"}`)}
		s, account, err := f.operators.resettable(t.Context(), c)
		if kindOf(err) != tt.want || err == nil && (s != factor.Subject{Realm: factor.LDAP, Account: "anna"} || account.UID != 7001) {
			t.Errorf("%q by an administrator of %v: %+v, %v", tt.name, tt.scope, s, err)
		}
	}
	if f.kept(t, "user").State != factor.Enrolled {
		t.Error("the local account lost its factor")
	}
}
