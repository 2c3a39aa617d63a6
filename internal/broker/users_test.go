package broker

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/operator"
	"github.com/shadowsync/shadowsync/internal/shadowfile"
)

const userConfiguration = `[roles]
admin = ["operators"]
[[application]]
name = "app"
unit = "a.service"
accounts = ["admin", "user"]
`

func usersOf(t *testing.T, text string) *operators {
	t.Helper()
	c, err := config.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return &operators{engine: &engine.Engine{Config: c}, kept: newKept()}
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
		kind operator.Kind // empty: it may be made
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
			c := &call{people: map[string]shadowfile.Person{"daemon": {Name: "daemon"}}, files: make([]*os.File, 1)}
			_, err := usersOf(t, tt.text).checkNew(c, &tt.user)
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
