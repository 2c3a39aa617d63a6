package directory

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/shadowsync/shadowsync/shadowsync"
)

func TestServices(t *testing.T) {
	for _, tt := range []struct {
		text string
		want []string
	}{
		{"", nil},
		{"passwd: files systemd\ngroup: sss\n", nil},
		{"passwd:\tfiles systemd sss # ldap\n", []string{"sss"}},
		{"passwd: compat [NOTFOUND=return success=merge] ldap sss ldap\n", []string{"ldap", "sss"}},
		{"passwd: sss\npasswd: files ldap", []string{"ldap"}},
		{"#passwd: sss\n", nil},
		{"passwd: files [NOTFOUND=return", nil},
	} {
		if got := services([]byte(tt.text), Accounts); !slices.Equal(got, tt.want) {
			t.Errorf("%q: %v, want %v", tt.text, got, tt.want)
		}
	}
}

// asks makes programs answer in place of the system's: each is a shell script.
func asks(t *testing.T, nsswitch string, scripts map[string]string) {
	t.Helper()
	folder := t.TempDir()
	oldFile, oldFolder := nsswitchFile, programs
	nsswitchFile, programs = filepath.Join(folder, "nsswitch.conf"), folder+"/"
	t.Cleanup(func() { nsswitchFile, programs = oldFile, oldFolder })
	if err := os.WriteFile(nsswitchFile, []byte(nsswitch), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, script := range scripts {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("#!/bin/sh\n"+script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLook: an account counts by its exact name or uid, and a group of the directory is not taken for the
// local one of the same name.
func TestLook(t *testing.T) {
	asks(t, "passwd: files sss\n", map[string]string{
		"getent": `case "$*" in
"--service=sss passwd -- anna" | "--service=sss passwd -- 7001") echo 'anna:*:7001:7000:Anna,x:/home/anna:/bin/sh' ;;
"--service=sss passwd -- ANNA") echo 'anna:*:7001:7000:Anna:/home/anna:/bin/sh' ;;
"--service=sss passwd -- anna bob") echo 'anna:*:7001:7000:::' ; exit 2 ;;
"group -- 1005 7000 7002") printf 'ops:x:1005:\nstaff2:x:7000:\nadmins:x:7002:anna\n' ;;
"group -- ops staff2 admins") printf 'ops:x:1005:\nstaff2:x:7000:\nadmins:x:50:root\n' ;;
*) exit 2 ;;
esac`, "id": "echo 7000 1005 7002",
	})
	for _, q := range []Query{{Name: "anna"}, {UID: 7001}} {
		p, err := look(t.Context(), q)
		if err != nil || p.Name != "anna" || p.UID != 7001 || p.FullName != "Anna" || p.Service != "sss" || !slices.Equal(p.Groups, []string{"ops", "staff2"}) || p.GIDs["ops"] != 1005 {
			t.Errorf("%v: %+v, %v", q, p, err)
		}
	}
	for _, q := range []Query{{Name: "ANNA"}, {Name: "bob"}, {Name: "7001"}, {UID: 9}} {
		if p, err := look(t.Context(), q); !errors.Is(err, shadowsync.ErrNoAccount) {
			t.Errorf("%v: %+v, %v", q, p, err)
		}
	}
	found, err := known(t.Context(), []string{"anna", "bob"})
	if err != nil || len(found) != 1 || found["anna"] != "sss" {
		t.Errorf("%v, %v", found, err)
	}
}

// TestFault: what could not be asked is not told as an account that is not there.
func TestFault(t *testing.T) {
	asks(t, "passwd: files sss\n", map[string]string{"getent": "exit 3"})
	if _, err := look(t.Context(), Query{Name: "anna"}); err == nil || errors.Is(err, shadowsync.ErrNoAccount) {
		t.Errorf("a getent that fails: %v", err)
	}
	asks(t, "passwd: files\n", map[string]string{"getent": "echo 'anna:*:7001:7000:::'"})
	if _, err := look(t.Context(), Query{Name: "anna"}); !errors.Is(err, shadowsync.ErrNoAccount) {
		t.Errorf("without a directory: %v", err)
	}
}

// TestDropped: a service that drops a client is asked once more, and what cannot be told from a missing account is not
// told as one.
func TestDropped(t *testing.T) {
	once := filepath.Join(t.TempDir(), "once")
	asks(t, "passwd: files ldap\n", map[string]string{
		"getent": "if mkdir " + once + " 2>/dev/null; then exit 2; fi\necho 'anna:*:7001:7000:Anna:/home/anna:/bin/sh'", "id": "echo 7000",
	})
	if p, err := look(t.Context(), Query{Name: "anna"}); err != nil || p.Name != "anna" {
		t.Errorf("dropped once: %+v, %v", p, err)
	}
	err := missing(Query{Name: "anna"})
	if want := "cannot find anna: the OS has no such account, or its directory (ldap) does not answer"; err.Error() != want || !errors.Is(err, shadowsync.ErrNoAccount) {
		t.Errorf("%v, want %s", err, want)
	}
	asks(t, "passwd: files\n", nil)
	if err := missing(Query{Name: "anna"}); err.Error() != "cannot find anna: the OS has no such account" {
		t.Errorf("without a directory: %v", err)
	}
}
