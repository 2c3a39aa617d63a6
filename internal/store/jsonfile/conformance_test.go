package jsonfile

import (
	"encoding/json"
	"testing"

	"github.com/shadowsync/shadowsync/internal/store/storetest"
)

func TestConformance(t *testing.T) {
	o := options("", "")
	text := storetest.Text{Spell: spell, Parse: parse, Spoil: `{"admin": `}
	storetest.Run(t, storetest.Fixture{Driver: Driver, Make: func(t *testing.T, accounts map[string]string) storetest.Store {
		t.Helper()
		return storetest.File(t, o, text, accounts)
	}})
}

type user struct {
	Password string `json:"password"`
}

// spell writes accounts as encoding/json does, and parse reads them so.
func spell(accounts map[string]string) string {
	users := map[string]user{}
	for name, password := range accounts {
		users[name] = user{password}
	}
	text, _ := json.Marshal(users)
	return string(text)
}

func parse(text string) map[string]string {
	var users map[string]user
	_ = json.Unmarshal([]byte(text), &users) // what it cannot read has no accounts
	accounts := map[string]string{}
	for name, u := range users {
		accounts[name] = u.Password
	}
	return accounts
}
