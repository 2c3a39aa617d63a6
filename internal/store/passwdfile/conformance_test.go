package passwdfile

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/internal/store/storetest"
)

// kind is a format as its server sees it: where an account is, and values that the server takes.
type kind struct {
	line  string // of name and value
	value func(n int) string
	lacks string // characters that no name can have
}

var kinds = map[string]kind{
	"htpasswd":   {line: "%s:%s", lacks: ":\n\r\t #\\"},
	"dovecot":    {line: "%s:{CRYPT}%s:1000:1000::/home::", lacks: ":\n\r\t #\\"},
	"freeradius": {line: "%s Crypt-Password := \"%s\"", lacks: "\"'`\\\n\r\t #$"},
	"mosquitto": {"%s:%s:", func(n int) string {
		return "$7$101$c2FsdA==$" + base64.StdEncoding.EncodeToString(fmt.Append(nil, n))
	}, ":\n\r\t #\\"},
	"pgbouncer": {"\"%s\" \"%s\"", func(n int) string {
		return "SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:" + base64.StdEncoding.EncodeToString(fmt.Append(nil, n))
	}, "\"\n\r"},
}

func TestConformance(t *testing.T) {
	for format, k := range kinds {
		t.Run(format, func(t *testing.T) {
			storetest.Run(t, storetest.Fixture{
				Driver: Driver, Value: k.value, Lacks: func(name string) bool { return name == "" || strings.ContainsAny(name, k.lacks) },
				Make: func(t *testing.T, accounts map[string]string) storetest.Store { return k.make(t, format, accounts) },
			})
		})
	}
}

func (k kind) make(t *testing.T, format string, accounts map[string]string) storetest.Store {
	path := filepath.Join(t.TempDir(), "passwd")
	save := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	load := func() string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
		}
		return string(text)
	}
	var text strings.Builder
	for name, value := range accounts {
		fmt.Fprintf(&text, k.line+"\n", name, value)
	}
	save(text.String())
	place := func(name string) *regexp.Regexp {
		before, after, _ := strings.Cut(fmt.Sprintf(k.line, name, "\x00"), "\x00")
		return regexp.MustCompile("(?m)^(" + regexp.QuoteMeta(before) + ")(.*)(" + regexp.QuoteMeta(after) + ")$")
	}
	return storetest.Store{
		Options: driver.Options{Driver: "passwdfile", Path: path, Keys: map[string]any{"format": format}},
		Held: func(name string) (string, bool) {
			found := place(name).FindStringSubmatch(load())
			if found == nil {
				return "", false
			}
			return found[2], true
		},
		Set: func(name, value string) {
			save(place(name).ReplaceAllStringFunc(load(), func(string) string { return fmt.Sprintf(k.line, name, value) }))
		},
		Break: func() (mend func()) {
			rename(t, path, path+".away")
			return func() { rename(t, path+".away", path) }
		},
		Spoil: func() { save("\ufeff" + load()) },
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}
