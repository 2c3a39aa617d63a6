package passwdfile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/internal/store/safefile"
	"github.com/shadowsync/shadowsync/internal/test/eventually"
	"github.com/shadowsync/shadowsync/shadowsync"
)

const (
	newCrypt     = "$y$j9T$new$hash"
	newMosquitto = "$7$1000$c2FsdHNhbHQ=$bmV3aGFzaA=="
	newSCRAM     = "SCRAM-SHA-256$4096:c2FsdA==$bmV3:bmV3"
)

func store(t *testing.T, format, text string) (s shadowsync.CredentialStore, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "passwd")
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour) // a file that was just written is read again
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	s, err := Driver.Open(t.Context(), driver.Options{Driver: "passwdfile", Path: path, Keys: map[string]any{"format": format}})
	if err != nil {
		t.Fatal(err)
	}
	return s, path
}

// set writes a value for the account bob over whatever it has.
func set(t *testing.T, s shadowsync.CredentialStore, value string) error {
	t.Helper()
	before, err := s.Read(t.Context(), []string{"bob"})
	if err != nil {
		return err
	}
	want := shadowsync.Credential{Hash: value}
	if !s.Capabilities().Opaque() {
		want.Hash, want.Locked = shadowsync.ParsePassword(value)
	}
	left, err := s.Write(t.Context(), []shadowsync.Write{{Name: "bob", Expect: before.Accounts["bob"].Credential, Want: want}})
	return errors.Join(err, left["bob"])
}

// TestWrite: only the value changes. The texts are those that each server's own tools and
// documentation have.
func TestWrite(t *testing.T) {
	for name, test := range map[string]struct{ format, before, value, after string }{
		"htpasswd":                         {"htpasswd", "# web\r\n\r\nalice:$apr1$x$y\r\nbob:$6$old$hash:Bob B.\r\nbobby:$6$z$z", newCrypt, "# web\r\n\r\nalice:$apr1$x$y\r\nbob:" + newCrypt + ":Bob B.\r\nbobby:$6$z$z"},
		"htpasswd without a final newline": {"htpasswd", "bob:$6$old$hash", newCrypt, "bob:" + newCrypt},
		"htpasswd with an empty field":     {"htpasswd", "bob:\n", newCrypt, "bob:" + newCrypt + "\n"},
		"a lock":                           {"htpasswd", "bob:$6$old$hash\n", "!", "bob:!\n"},
		"clear text of nginx":              {"htpasswd", "bob:{PLAIN}secret\n", newCrypt, "bob:" + newCrypt + "\n"},
		"mosquitto":                        {"mosquitto", "# mqtt\nalice:$6$c2FsdA==$aGFzaA==\nbob : $7$101$c2FsdA==$aGFzaA== :rest\r\n", newMosquitto, "# mqtt\nalice:$6$c2FsdA==$aGFzaA==\nbob : " + newMosquitto + " :rest\r\n"},
		"mosquitto's clear text":           {"mosquitto", "bob:secret\n", newMosquitto, "bob:" + newMosquitto + "\n"},
		"dovecot":                          {"dovecot", "bob:{SSHA512}abc=:5000:5000::/home/bob::userdb_quota_rule=*:bytes=1G\n", newCrypt, "bob:{CRYPT}" + newCrypt + ":5000:5000::/home/bob::userdb_quota_rule=*:bytes=1G\n"},
		"dovecot without a scheme":         {"dovecot", "bob:$6$old$hash\n", newCrypt, "bob:{CRYPT}" + newCrypt + "\n"},
		"pgbouncer":                        {"pgbouncer", "; x\n\"a\"\"b\" \"md500112233445566778899aabbccddeeff\"\n\"bob\" \"SCRAM-SHA-256$4096:b2xk$b2xk:b2xk\"  ; Bob\n", newSCRAM, "; x\n\"a\"\"b\" \"md500112233445566778899aabbccddeeff\"\n\"bob\" \"" + newSCRAM + "\"  ; Bob\n"},
		"pgbouncer's clear text":           {"pgbouncer", "\"bob\" \"secret\"\n", newSCRAM, "\"bob\" \"" + newSCRAM + "\"\n"},
		"freeradius": {
			"freeradius", "DEFAULT Auth-Type := Reject\n\tFall-Through = Yes\n\nbob\tCrypt-Password := '$6$old$hash', NAS-Port-Type == \"Virtual\"\n\tReply-Message ^= \"Hello, %{User-Name}\",\n\t# x\n\tSession-Timeout = 60\n",
			newCrypt, "DEFAULT Auth-Type := Reject\n\tFall-Through = Yes\n\nbob\tCrypt-Password := \"" + newCrypt + "\", NAS-Port-Type == \"Virtual\"\n\tReply-Message ^= \"Hello, %{User-Name}\",\n\t# x\n\tSession-Timeout = 60\n",
		},
		"freeradius with several entries": {"freeradius", "bob NAS-IP-Address == 10.0.0.1\n\tFall-Through = Yes\n\"bob\" Crypt-Password := $6$old$hash # x\n", newCrypt, "bob NAS-IP-Address == 10.0.0.1\n\tFall-Through = Yes\n\"bob\" Crypt-Password := \"" + newCrypt + "\" # x\n"},
	} {
		t.Run(name, func(t *testing.T) {
			s, path := store(t, test.format, test.before)
			if err := set(t, s, test.value); err != nil {
				t.Fatal(err)
			}
			if text, err := os.ReadFile(path); err != nil || string(text) != test.after {
				t.Errorf("%q\nis  %q\nnot %q", test.before, text, test.after)
			}
			if after, err := s.Read(t.Context(), []string{"bob"}); err != nil || after.Accounts["bob"].Password() != test.value {
				t.Errorf("reads %+v, %v", after, err)
			}
		})
	}
}

func TestRefuses(t *testing.T) {
	for name, test := range map[string]struct{ format, text, value, says string }{
		"a byte order mark":                   {"htpasswd", "\ufeffbob:x\n", newCrypt, "byte order mark"},
		"a NUL":                               {"htpasswd", "alice:x\nb\x00b:x\n", newCrypt, "line 2: a NUL byte"},
		"twice":                               {"htpasswd", "bob:x\nbob:y\n", newCrypt, `account "bob" is there twice`},
		"blanks":                              {"htpasswd", " bob:x\nbob:y\n", newCrypt, `is there twice`},
		"blanks alone":                        {"htpasswd", "bob :x\n", newCrypt, `line 1: account "bob" has blanks around its name`},
		"joined by Apache":                    {"htpasswd", "# x \\\nbob:x\n", newCrypt, `account "bob" has a line that a backslash joins`},
		"joined for Apache":                   {"htpasswd", "bo\\\nb:x\nbob:y\n", newCrypt, `account "bob" is there twice`},
		"joined with the next":                {"htpasswd", "bob:x\\\nalice:y\n", newCrypt, `account "bob" has a line that a backslash joins`},
		"a name alone, for Apache":            {"htpasswd", "bob \nbob:x\n", newCrypt, `a line "bob" without a colon`},
		"after where Apache ends":             {"htpasswd", "# " + strings.Repeat("x", apacheLine) + "\nbob:x\n", newCrypt, "too long for Apache"},
		"where Apache ends":                   {"htpasswd", "bob:x:" + strings.Repeat("x", apacheLine) + "\n", newCrypt, "too long for Apache"},
		"after lines too long for Apache":     {"htpasswd", "# " + strings.Repeat(strings.Repeat("x", 4000)+"\\\n", 3) + "\nbob:x\n", newCrypt, "too long for Apache"},
		"swallowed by nginx":                  {"htpasswd", "bo\nbob:x\n", newCrypt, `a line "bo" without a colon`},
		"a value that ends the field":         {"htpasswd", "bob:x\n", "a:b", "a character that the file cannot hold"},
		"a value that ends the line":          {"htpasswd", "bob:x\n", "a\nroot:x", "a character that the file cannot hold"},
		"a value that is clear text":          {"htpasswd", "bob:x\n", "{PLAIN}x", "a character that the file cannot hold"},
		"what stands for clear text":          {"htpasswd", "bob:x\n", clearText, "a character that the file cannot hold"},
		"no value":                            {"htpasswd", "bob:x\n", "", "could let everybody in"},
		"a line that mosquitto quits for":     {"mosquitto", "alice:clear\nbob:" + newMosquitto + "\n", newMosquitto, "line 1: a value that mosquitto cannot decode"},
		"an account that mosquitto quits for": {"mosquitto", "a:" + newMosquitto + "\na:" + newMosquitto + "\nbob:x\n", newMosquitto, `line 2: account "a" is there twice`},
		"a name that mosquitto quits for":     {"mosquitto", ":" + newMosquitto + "\nbob:x\n", newMosquitto, "line 1: no name"},
		"a crypt(3) hash for mosquitto":       {"mosquitto", "bob:$7$101$c2FsdA==$aGFzaA==\n", "$6$salt$ha/sh.", "a value that mosquitto cannot decode"},
		"a broken auth_file":                  {"pgbouncer", "\"bob\" \"md500112233445566778899aabbccddeeff\"\n\"alice\n", newSCRAM, "line 2: not of the form"},
		"a name too long for pgbouncer":       {"pgbouncer", "\"bob\" \"x\"\n\"" + strings.Repeat("a", pgbouncerName+1) + "\" \"x\"\n", newSCRAM, "line 2: a name or a value that is too long"},
		"a value too long for pgbouncer":      {"pgbouncer", "\"alice\" \"" + strings.Repeat(`""`, pgbouncerValue/2+1) + "\"\n\"bob\" \"x\"\n", newSCRAM, "line 1: a name or a value that is too long"},
		"a comment that pgbouncer has not":    {"pgbouncer", "# x\n\"bob\" \"x\"\n", newSCRAM, "line 1: not of the form"},
		"clear text for pgbouncer":            {"pgbouncer", "\"bob\" \"x\"\n", "$6$salt$hash", "would take the value for clear text"},
		"a reply without an entry":            {"freeradius", "\tReply-Message = \"x\"\n", newCrypt, "line 1: an entry does not begin with a name"},
		"an open comma":                       {"freeradius", "bob Crypt-Password := \"x\"\n\tA = 1,\nalice A := 1\n", newCrypt, "line 3: an entry begins after a comma"},
		"a comma at the end":                  {"freeradius", "bob Crypt-Password := \"x\"\n\tA = 1,\n", newCrypt, "line 2: the file ends after a comma"},
		"a comma after the checks":            {"freeradius", "bob Crypt-Password := \"x\",\n", newCrypt, "line 1: a comma after the last attribute"},
		"an open quote":                       {"freeradius", "bob Crypt-Password := \"x\n", newCrypt, "line 1: not of the form attribute = value"},
		"two attributes without a comma":      {"freeradius", "bob Crypt-Password := \"x\" A = 1\n", newCrypt, "line 1: text after an attribute"},
		"FreeRADIUS' clear text":              {"freeradius", "bob Cleartext-Password := \"secret\"\n", newCrypt, "has a Cleartext-Password; it must be replaced by a Crypt-Password"},
		"two passwords":                       {"freeradius", "bob Crypt-Password := \"x\"\nbob Crypt-Password := \"y\"\n", newCrypt, "is there twice"},
		"quotes inside of quotes":             {"freeradius", "bob Crypt-Password := \"'x'\"\n", newCrypt, "a Crypt-Password that cannot be read"},
		"a quote that is part of the value":   {"freeradius", "bob Crypt-Password := x\"\n", newCrypt, "a Crypt-Password that cannot be read"},
		"a line that is too long":             {"freeradius", "# " + strings.Repeat("x", maxRadiusLine) + "\n", newCrypt, "line 1: too long"},
	} {
		t.Run(name, func(t *testing.T) {
			s, path := store(t, test.format, test.text)
			snapshot, err := s.Read(t.Context(), []string{"bob"})
			if err == nil {
				err = set(t, s, test.value)
			}
			if err == nil || !strings.Contains(err.Error()+snapshot.Malformed["bob"], test.says) {
				t.Errorf("%v; %v", err, snapshot.Malformed)
			}
			if text, err := os.ReadFile(path); err != nil || string(text) != test.text {
				t.Errorf("the file is %q: %v", text, err)
			}
		})
	}
}

// TestNoClearText: clear text of the file gets nowhere.
func TestNoClearText(t *testing.T) {
	for format, text := range map[string]string{
		"htpasswd": "bob:{PLAIN}secret\n", "dovecot": "bob:{plain.b64}secret:1:1\n", "pgbouncer": "\"bob\" \"secret\"\n",
		"freeradius": "bob Cleartext-Password := \"secret\"\n", "mosquitto": "bob:secret\n",
	} {
		s, _ := store(t, format, text)
		snapshot, err := s.Read(t.Context(), []string{"bob"})
		if err != nil || strings.Contains(snapshot.Malformed["bob"]+snapshot.Accounts["bob"].Hash, "secret") {
			t.Errorf("%s: %+v, %v", format, snapshot, err)
		}
	}
}

func TestConfigure(t *testing.T) {
	for says, keys := range map[string]map[string]any{
		`"format" is missing`: {}, `format = "shadow": must be`: {"format": "shadow"}, `unknown key "user"`: {"format": "htpasswd", "user": "x"},
	} {
		err := Driver.Validate(driver.Options{Driver: "passwdfile", Path: "/etc/x/passwd", Keys: keys})
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v: %v", keys, err)
		}
	}
}

// TestKinds: only a crypt(3) hash can be locked, for its server takes no other hash with "!" before it for a locked one.
func TestKinds(t *testing.T) {
	for format, want := range map[string]shadowsync.Capabilities{
		"htpasswd": {Fields: fields}, "dovecot": {Fields: fields}, "freeradius": {Fields: fields},
		"mosquitto": {Fields: shadowsync.FieldHash, Scheme: "mosquitto"}, "pgbouncer": {Fields: shadowsync.FieldHash, Scheme: "scram-sha-256"},
	} {
		s, _ := store(t, format, "")
		if got := s.Capabilities(); got.Fields != want.Fields || got.Scheme != want.Scheme {
			t.Errorf("%s: %+v", format, got)
		}
	}
}

// TestPartOfAFile: htpasswd and mosquitto_passwd write in place. A part of such a file looks like a
// whole one with fewer accounts.
func TestPartOfAFile(t *testing.T) {
	s, path := store(t, "htpasswd", "alice:x\n")
	save := func(text string) error { return os.WriteFile(path, []byte(text), 0o640) }
	eventually.Holds(t, "a write long after the file was made", func() bool {
		return save("alice:x\n") == nil && inPlace(t, path)
	})
	written := make(chan error, 1)
	time.AfterFunc(50*time.Millisecond, func() { written <- save("alice:x\nbob:y\n") })
	snapshot, err := s.Read(t.Context(), []string{"bob"})
	if err := errors.Join(err, <-written); err != nil || snapshot.Accounts["bob"].Hash != "y" {
		t.Errorf("%+v, %v", snapshot, err)
	}
}

func inPlace(t *testing.T, path string) bool {
	t.Helper()
	folder, err := safefile.Place{Path: path}.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	content, err := folder.Read()
	return err == nil && content.InPlace
}
