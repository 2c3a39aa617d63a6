package jsonfile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// appliance has the layout of a real file, with an unusual spelling.
const appliance = "{\n" +
	"\t\"datastore\" : {\"config\": {\"authority\": {\"asset\": 1.0e2, \"asset\": 1E+2, \"router\": [\n" +
	"\t\t{\"name\": \"node\\u0031\", \"user\": [\n" +
	"\t\t\t{ \"name\": \"admin\", \"role\": [\"admin\"],  \"password\": \"$6$salt$old\\/hash\" },\r\n" +
	"\t\t\t{\"password\":\"!$6$s$two\",\"name\":\"us\\u0065r222\",\"x\":null},\n" +
	"\t\t\t{\"name\": \"guest\"}, {\"name\": \"radius\", \"password\": null}\n" +
	"\t\t]},\n\t\t{\"user\": [{\"name\": \"admin\", \"password\": \"of another router\"}]}\n" +
	"\t]}}}, \"tail\": [ ] }\n\n"

const pointer = "/datastore/config/authority/router/0/user"

// options returns the options of a store at path.
func options(path, users string) driver.Options {
	return driver.Options{
		Driver: "json", Path: path,
		Keys: map[string]any{"users": users, "name": "name", "password": "password"},
	}
}

func open(t testing.TB, path, users string) shadowsync.CredentialStore {
	t.Helper()
	s, err := Driver.Open(t.Context(), options(path, users))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// file makes a file in a folder of its own. Its time is old, so that nothing is read twice.
func file(t testing.TB, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "user.json")
	if err := os.WriteFile(path, []byte(content), 0o640); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// value is the credential that the driver reads from a password field.
func value(password string) (c shadowsync.Credential) {
	c.Hash, c.Locked = shadowsync.ParsePassword(password)
	return c
}

func TestRead(t *testing.T) {
	s := open(t, file(t, appliance), pointer)
	got, err := s.Read(t.Context(), []string{"admin", "user222", "guest", "radius", "nobody"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]shadowsync.Credential{
		"admin":   {Hash: "$6$salt$old/hash"},
		"user222": {Hash: "$6$s$two", Locked: true},
		"guest":   {}, // no password
		"radius":  {},
	}
	if len(got.Accounts) != len(want) {
		t.Errorf("read %d accounts, want %d: %v", len(got.Accounts), len(want), got.Accounts)
	}
	for name, c := range want {
		if r := got.Accounts[name]; r.Credential != c || !r.ChangedAt.IsZero() {
			t.Errorf("%s is %+v, want %+v", name, r, c)
		}
	}
	if revision, err := s.Revision(t.Context()); err != nil || revision != got.Revision {
		t.Errorf("Revision gives %q, %v; Read gave %q", revision, err, got.Revision)
	}
}

func TestWriteTouchesNothingElse(t *testing.T) {
	path := file(t, appliance)
	s := open(t, path, pointer)
	left, err := s.Write(t.Context(), []shadowsync.Write{
		{Name: "user222", Expect: value("!$6$s$two"), Want: value(`$y$j9T$"\` + "\x01ü")},
		{Name: "admin", Expect: value("$6$salt$old/hash"), Want: value("!$6$new")},
	})
	if err != nil || len(left) != 0 {
		t.Fatal(left, err)
	}
	want := strings.NewReplacer(
		`"$6$salt$old\/hash"`, `"!$6$new"`,
		`"!$6$s$two"`, `"$y$j9T$\"\\\u0001ü"`,
	).Replace(appliance)
	if got := read(t, path); got != want {
		t.Errorf("the file is\n%q, want\n%q", got, want)
	}
}

// A write of the same value tests whether the file can be written: the file is replaced, with the
// same bytes.
func TestWriteOfTheSameKeepsTheSpelling(t *testing.T) {
	path := file(t, appliance)
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	same := value("$6$salt$old/hash")
	left, err := open(t, path, pointer).Write(t.Context(), []shadowsync.Write{{Name: "admin", Expect: same, Want: same}})
	if err != nil || len(left) != 0 {
		t.Fatal(left, err)
	}
	if read(t, path) != appliance {
		t.Error("the file was changed")
	}
	if after, err := os.Stat(path); err != nil || os.SameFile(before, after) {
		t.Error("the file was not written", err)
	}
}

func TestWriteLeavesAlone(t *testing.T) {
	present, other := value("$6$salt$old/hash"), value("$6$other")
	var refused *shadowsync.RefusedError
	is := func(target error) func(error) bool { return func(err error) bool { return errors.Is(err, target) } }
	isRefused := func(err error) bool { return errors.As(err, &refused) }
	tests := []struct {
		name  string
		write shadowsync.Write
		as    func(error) bool
	}{
		{"another value expected", shadowsync.Write{Name: "admin", Expect: other, Want: value("x")}, is(shadowsync.ErrChanged)},
		{"another lock expected", shadowsync.Write{Name: "admin", Expect: value("!$6$salt$old/hash"), Want: value("x")}, is(shadowsync.ErrChanged)},
		{"create what is there", shadowsync.Write{Name: "admin", Want: other, Create: true}, is(shadowsync.ErrChanged)},
		{"delete", shadowsync.Write{Name: "admin", Expect: present, Delete: true}, isRefused},
		{"create what is missing", shadowsync.Write{Name: "nobody", Want: other, Create: true}, isRefused},
		{"missing", shadowsync.Write{Name: "nobody", Expect: other, Want: other}, is(shadowsync.ErrNoAccount)},
		{"a password where there is none", shadowsync.Write{Name: "guest", Expect: present, Want: other}, is(shadowsync.ErrChanged)},
		{"not UTF-8", shadowsync.Write{Name: "admin", Expect: present, Want: value("\xff")}, isRefused},
		{"too long", shadowsync.Write{Name: "admin", Expect: present, Want: value(strings.Repeat("x", maxPassword))}, isRefused},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := file(t, appliance)
			good := shadowsync.Write{Name: "user222", Expect: value("!$6$s$two"), Want: value("$6$beside")}
			left, err := open(t, path, pointer).Write(t.Context(), []shadowsync.Write{tt.write, good})
			if err != nil {
				t.Fatal(err)
			}
			if len(left) != 1 || !tt.as(left[tt.write.Name]) {
				t.Errorf("left alone: %v", left)
			}
			if got, want := read(t, path), strings.Replace(appliance, "!$6$s$two", "$6$beside", 1); got != want {
				t.Errorf("the file is %q", got)
			}
		})
	}
}

// TestAnAccountWithoutAPassword: it gets one, whether the member is null or missing.
func TestAnAccountWithoutAPassword(t *testing.T) {
	for text, want := range map[string]string{
		`[{"name": "a", "password": null}]`: `[{"name": "a", "password": "$6$new"}]`,
		`[{ "name": "a" }]`:                 `[{ "name": "a", "password": "$6$new" }]`,
		`[{"name": "a", "x": {"y": []} }]`:  `[{"name": "a", "x": {"y": []}, "password": "$6$new" }]`,
		`{"a": {}, "b": {"password": "z"}}`: `{"a": {"password": "$6$new"}, "b": {"password": "z"}}`,
		`{"a": {"x":1}}`:                    `{"a": {"x":1, "password": "$6$new"}}`,
		`[{"name": "a", "password": ""}]`:   `[{"name": "a", "password": "$6$new"}]`,
	} {
		path := file(t, `{"u": `+text+`}`)
		s := open(t, path, "/u")
		snapshot, err := s.Read(t.Context(), []string{"a"})
		if r, ok := snapshot.Accounts["a"]; err != nil || !ok || r.Kind() != shadowsync.KindOpen {
			t.Errorf("%s: read %+v (%v)", text, r, err)
		}
		left, err := s.Write(t.Context(), []shadowsync.Write{{Name: "a", Expect: value(""), Want: value("$6$new")}})
		if err != nil || len(left) > 0 || read(t, path) != `{"u": `+want+`}` {
			t.Errorf("%s became %s (left %v, %v)", text, read(t, path), left, err)
		}
	}
}

func TestObjectKeyedByName(t *testing.T) {
	const text = `{"u": {"a\/b": {"0": {"name": "x", "password": "one"}, "adm\u0069n": {"password": "two"}, "n": 5}}}`
	path := file(t, text)
	s := open(t, path, "/u/a~1b")
	got, err := s.Read(t.Context(), []string{"0", "admin", "x"})
	if err != nil || len(got.Accounts) != 2 || got.Accounts["admin"].Hash != "two" || got.Accounts["0"].Hash != "one" {
		t.Fatalf("read %v, %v", got.Accounts, err)
	}
	left, err := s.Write(t.Context(), []shadowsync.Write{{Name: "admin", Expect: value("two"), Want: value("!")}})
	if err != nil || len(left) != 0 || read(t, path) != strings.Replace(text, `"two"`, `"!"`, 1) {
		t.Errorf("left %v, %v; the file is %s", left, err, read(t, path))
	}
}

func TestMalformed(t *testing.T) {
	user := func(members string) string { return `{"u":[` + members + `]}` }
	deep := strings.Repeat("[", 100_000)
	tests := []struct{ name, text, says string }{
		{"empty", "", "there is no"},
		{"byte order mark", "\ufeff" + user(""), "byte order mark"},
		{"not UTF-8", "{\"x\":1,\n\"u\":[\"\xff\"]}", "line 2: not UTF-8"},
		{"cut short", user(`{"name":"admin","password":"x"`)[:20], "line 1"},
		{"after the end", user("") + "{}", "after the end"},
		{"too deep", `{"u":[], "x":` + deep, "nested deeper than 64"},
		{"too deep on the way", deep, "nested deeper than 64"},
		{"no accounts", `{"v":[]}`, `there is no "u"`},
		{"accounts twice", `{"u":[],"\u0075":[]}`, `"u" is there twice`},
		{"accounts are a text", `{"u":"x"}`, "neither a list nor an object"},
		{"an account is a text", user(`"admin"`), "an account is not an object"},
		{"trailing comma", `{"u":[],}`, "a string is missing"},
		{"single quotes", `{'u':[]}`, "a string is missing"},
		{"comment", `{"u":[],"n":/* */1}`, "a value is missing"},
		{"leading zero", `{"u":[],"n":01}`, "malformed number"},
		{"bare minus", `{"u":[],"n":-}`, "malformed number"},
		{"no fraction", `{"u":[],"n":1.}`, "malformed number"},
		{"no exponent", `{"u":[],"n":1e}`, "malformed number"},
		{"NUL", "{\"u\":[],\"n\":\x00}", "a value is missing"},
		{"newline in a string", "{\"u\":[],\"n\":\"\n\"}", "control character"},
		{"escape", `{"u":[],"n":"\x41"}`, "unknown escape"},
		{"short escape", `{"u":[],"n":"\u12"}`, "hexadecimal"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := file(t, tt.text)
			s := open(t, path, "/u")
			_, err := s.Read(t.Context(), []string{"admin"})
			if !errors.Is(err, shadowsync.ErrMalformed) || !strings.Contains(fmt.Sprint(err), tt.says) {
				t.Errorf("Read says %v", err)
			}
			_, err = s.Write(t.Context(), []shadowsync.Write{{Name: "admin", Expect: value("x"), Want: value("z")}})
			if !errors.Is(err, shadowsync.ErrMalformed) {
				t.Errorf("Write says %v", err)
			}
			if read(t, path) != tt.text {
				t.Error("the file was changed")
			}
		})
	}
}

// TestMalformedRecord: a malformed account does not fail the others.
func TestMalformedRecord(t *testing.T) {
	listed := func(admin string) string { return `{"u":[` + admin + `,{"name":"user222","password":"h"}]}` }
	tests := []struct{ name, text, says string }{
		{"account twice", listed(`{"name":"admin","password":"x"},{"password":"y","name":"\u0061dmin"}`), `account "admin" is there twice`},
		{"name twice", listed(`{"name":"admin","password":"x","name":"root"}`), `"name" twice`},
		{"password twice", listed(`{"name":"admin","password":"x","password":"y"}`), `"password" twice`},
		{"password twice, once null", listed(`{"name":"admin","password":null,"password":"y"}`), `"password" twice`},
		{"password is a number", listed(`{"name":"admin","password":5}`), "is not a string"},
		{"half a character", listed(`{"name":"admin","password":"\ud800"}`), "is not a string"},
		{"other half is none", listed(`{"name":"admin","password":"\ud800\n"}`), "is not a string"},
		{"enormous password", listed(`{"name":"admin","password":"` + strings.Repeat("x", maxPassword) + `"}`), "is not a string"},
		{"a text", `{"u":{"admin":"x","user222":{"password":"h"}}}`, `account "admin" is not an object`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := file(t, tt.text)
			s := open(t, path, "/u")
			got, err := s.Read(t.Context(), []string{"admin", "user222"})
			if err != nil || !strings.Contains(got.Malformed["admin"], tt.says) || got.Accounts["user222"].Hash != "h" || len(got.Accounts) != 1 {
				t.Errorf("Read says %+v, %v", got, err)
			}
			left, err := s.Write(t.Context(), []shadowsync.Write{
				{Name: "admin", Expect: value("x"), Want: value("z")},
				{Name: "user222", Expect: value("h"), Want: value("new")},
			})
			if err != nil || !errors.Is(left["admin"], shadowsync.ErrMalformed) || len(left) != 1 {
				t.Errorf("Write says %v, %v", left, err)
			}
			if read(t, path) != strings.Replace(tt.text, `"h"`, `"new"`, 1) {
				t.Error("more or less than one password was changed")
			}
		})
	}
}

func TestWhatConcernsOthersIsNotOurs(t *testing.T) {
	const text = `{"u":[{"name":"x","name":"x","password":7},{"name":"x"},{"name":5},{},{"name":"\ud800"},{"name":"admin","password":"h"}]}`
	got, err := open(t, file(t, text), "/u").Read(t.Context(), []string{"admin"})
	if err != nil || got.Accounts["admin"].Hash != "h" {
		t.Errorf("read %v, %v", got.Accounts, err)
	}
}

func TestPartlyWrittenFileIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "user.json")
	if err := os.WriteFile(path, []byte(appliance[:100]), 0o600); err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	time.AfterFunc(30*time.Millisecond, func() { failed <- os.WriteFile(path, []byte(appliance), 0o600) })
	got, err := open(t, path, pointer).Read(t.Context(), []string{"admin"})
	if err != nil || len(got.Accounts) != 1 {
		t.Errorf("read %v, %v", got.Accounts, err)
	}
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
}

func TestReadingAgainEndsWithItsContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "user.json")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := open(t, path, pointer).Read(ctx, nil); !errors.Is(err, shadowsync.ErrUnavailable) {
		t.Error(err)
	}
	if _, err := open(t, path, pointer).Read(t.Context(), nil); err == nil || errors.Is(err, shadowsync.ErrUnavailable) {
		t.Errorf("to the end: %v", err)
	}
}

func TestConfigure(t *testing.T) {
	good := options("/x/y.json", "/u").Keys
	tests := []struct {
		name   string
		change func(map[string]any)
		says   string
	}{
		{"good", func(map[string]any) {}, ""},
		{"the whole document", func(k map[string]any) { k["users"] = "" }, ""},
		{"users missing", func(k map[string]any) { delete(k, "users") }, `"users" is missing`},
		{"users no pointer", func(k map[string]any) { k["users"] = "u" }, "JSON pointer"},
		{"users with a stray tilde", func(k map[string]any) { k["users"] = "/a~2" }, "JSON pointer"},
		{"users a number", func(k map[string]any) { k["users"] = 5 }, `users must be a string`},
		{"unknown", func(k map[string]any) { k["pasword"] = "x" }, `unknown key "pasword", did you mean "password"`},
		{"same member", func(k map[string]any) { k["name"] = "password" }, "different members"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			keys := make(map[string]any)
			for k, v := range good {
				keys[k] = v
			}
			tt.change(keys)
			err := Driver.Validate(driver.Options{Path: "/x/y.json", Keys: keys})
			if tt.says == "" && err != nil || tt.says != "" && !strings.Contains(fmt.Sprint(err), tt.says) {
				t.Errorf("Validate says %v", err)
			}
		})
	}
}

// TestNumbersThatAreNoJSON: Python's json, among others, writes and reads them.
func TestNumbersThatAreNoJSON(t *testing.T) {
	const text = `{"load": [NaN, Infinity, -Infinity], "user": [{"name": "admin", "password": "old", "ratio": NaN}]}`
	path := file(t, text)
	left, err := open(t, path, "/user").Write(t.Context(), []shadowsync.Write{{Name: "admin", Expect: value("old"), Want: value("new")}})
	if err != nil || len(left) != 0 {
		t.Fatal(left, err)
	}
	if got, want := read(t, path), strings.Replace(text, "old", "new", 1); got != want {
		t.Errorf("the file is %s, want %s", got, want)
	}
	for _, bad := range []string{`{"user": [nan]}`, `{"user": [infinity]}`, `{"user": [+Infinity]}`, `{"user": [--Infinity]}`} {
		if _, err := open(t, file(t, bad), "/user").Read(t.Context(), nil); err == nil {
			t.Errorf("%s was read", bad)
		}
	}
}
