package policy

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/password/crypt"
	"github.com/shadowsync/shadowsync/internal/password/crypt/format"
	"github.com/shadowsync/shadowsync/shadowsync"
)

func hash(t *testing.T, token string) string {
	t.Helper()
	h, err := crypt.Method{Format: format.SHA256, Cost: 1000}.Generate([]byte(token))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestRules(t *testing.T) {
	present := shadowsync.Credential{Hash: hash(t, "present")}
	before := hash(t, "before")
	record := shadowsync.Record{
		{Baseline: shadowsync.Baseline{OS: present}}, // the lock mark moved, not the password
		{Baseline: shadowsync.Baseline{OS: shadowsync.Credential{Hash: "*"}}},
		{Baseline: shadowsync.Baseline{OS: shadowsync.Credential{Hash: hash(t, "lost")}}, Lost: true},
		{Baseline: shadowsync.Baseline{OS: shadowsync.Credential{Hash: before, Locked: true}}},
		{Baseline: shadowsync.Baseline{OS: present}},
		{Baseline: shadowsync.Baseline{OS: shadowsync.Credential{Hash: before}}},
		{Baseline: shadowsync.Baseline{OS: shadowsync.Credential{Hash: hash(t, "long ago")}}},
		{Baseline: shadowsync.Baseline{OS: shadowsync.Credential{Hash: hash(t, "present")}}}, // with another salt
	}
	for name, tc := range map[string]struct {
		rules Rules
		token string
		want  string
	}{
		"nothing asked for":    {Rules{}, "x", ""},
		"characters, no bytes": {Rules{MinLength: 4}, "äöü", "3 characters"},
		"long enough":          {Rules{MinLength: 4}, "äöü1", ""},
		"classes":              {Rules{MinClasses: 4}, "aA1", "3 classes"},
		"all classes":          {Rules{MinClasses: 4}, "aA1 ", ""},
		"reject":               {Rules{Reject: []string{"ACME"}}, "my-acme-1", "forbidden text"},
		"present":              {Rules{History: 1}, "present", "used before"},
		"before":               {Rules{History: 2}, "before", "used before"},
		"beyond":               {Rules{History: 2}, "long ago", ""},
		"the third":            {Rules{History: 3}, "long ago", "used before"},
		"lost a conflict":      {Rules{History: 6}, "lost", ""},
		"whole record":         {Rules{History: 6}, "long ago", "used before"},
	} {
		t.Run(name, func(t *testing.T) {
			err := tc.rules.Check([]byte(tc.token), present, record)
			if tc.want == "" && err != nil || tc.want != "" && (!errors.Is(err, ErrWeak) || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestTooSoon(t *testing.T) {
	for _, tc := range []struct {
		min, last, today shadowsync.Day
		want             bool
	}{
		{3, 100, 102, true},
		{3, 100, 103, false},
		{0, 100, 100, false},
		{shadowsync.NoDay, 100, 100, false},
		{3, shadowsync.NoDay, 100, false}, // it must change
	} {
		if got := TooSoon(shadowsync.Credential{Min: tc.min, LastChange: tc.last}, tc.today); got != tc.want {
			t.Errorf("%+v: %v", tc, got)
		}
	}
}

// The tool may set the present password again, because an interrupted list is run again.
func TestTheSamePasswordAgain(t *testing.T) {
	present := shadowsync.Credential{Hash: hash(t, "present")}
	record := shadowsync.Record{
		{Baseline: shadowsync.Baseline{OS: shadowsync.Credential{Hash: hash(t, "present")}}},
		{Baseline: shadowsync.Baseline{OS: shadowsync.Credential{Hash: hash(t, "before")}}},
	}
	rules := Rules{MinLength: 6, History: 6}
	for token, refused := range map[string]bool{"present": false, "before": true, "short": true, "another": false} {
		if err := rules.CheckAgain([]byte(token), present, record); errors.Is(err, ErrWeak) != refused || err != nil && !refused {
			t.Errorf("%s: %v", token, err)
		}
	}
}

func TestMachineLine(t *testing.T) {
	for name, tc := range map[string]struct{ stack, want string }{
		"Debian": {
			"# x\npassword\trequisite\t\t\tpam_pwquality.so retry=3\npassword\t[success=1 default=ignore]\tpam_unix.so obscure use_authtok\n",
			"password requisite pam_pwquality.so retry=1 enforce_for_root",
		},
		"Fedora": {"password    requisite     pam_pwquality.so local_users_only\n", "password requisite pam_pwquality.so local_users_only retry=1 enforce_for_root"},
		"options": {
			"-password [success=ok default=die] /lib/security/pam_pwquality.so \\\n minlen=12 [badwords=a b] use_authtok enforce_for_root\n",
			"password requisite /lib/security/pam_pwquality.so minlen=12 [badwords=a b] retry=1 enforce_for_root",
		},
		"passwdqc": {"password requisite pam_passwdqc.so enforce=users min=8,8,8,8,8", "password requisite pam_passwdqc.so min=8,8,8,8,8 retry=1 enforce=everyone"},
		"none":     {"auth requisite pam_pwquality.so\npassword required pam_unix.so\n#password requisite pam_pwquality.so\n", ""},
	} {
		folder := filepath.Join(t.TempDir(), "etc/pam.d")
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "common-password"), []byte(tc.stack), 0o644); err != nil {
			t.Fatal(err)
		}
		if got, err := machineLine(filepath.Join(folder, "../..")); got != tc.want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, tc.want)
		}
	}
}
