package grammar

import (
	"errors"
	"testing"
)

func TestMeant(t *testing.T) {
	s := New([]Command{
		{Words: "set password"},
		{Words: "show sync"},
		{Words: "show user", Params: []Param{{Name: "NAME", Kind: Account}}},
		{Words: "show user sessions"},
		{Words: "show user activity"},
		{Words: "lock user", Params: []Param{{Name: "NAME", Kind: Account, Required: true}}},
		{Words: "unlock user", Params: []Param{{Name: "NAME", Kind: Account, Required: true}}},
		{Words: "delete user"},
		{Words: "exit"},
	}, nil)
	for line, want := range map[string]string{
		"show sessions":    "show user sessions",
		"show bad":         "",
		"show sesions":     "show user sessions",
		"sessions":         "show user sessions",
		"shwo user admin":  "show user",
		"user show admin":  "show user",
		"password set":     "set password",
		"passwd":           "set password",
		"lock admin":       "lock user",
		"unlok user joe":   "unlock user",
		"delte user admin": "delete user",
		"remove user x":    "delete user",
		"exti":             "exit",
		"bad":              "",
		"\"show\" x":       "",
		"reboot":           "",
		"Zx9!secret":       "",
	} {
		_, _, err := s.Parse(line)
		var notFound *NotFoundError
		if !errors.As(err, &notFound) || notFound.Meant != want {
			t.Errorf("%s: %v, want %q", line, err, want)
		}
	}
}
