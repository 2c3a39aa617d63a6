package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

const smallest = `
[node]
name  = "node1"
asset = "conductor"

[[application]]
name     = "conductor"
unit     = "128T.service"
accounts = ["admin", "user222"]

[application.store]
driver   = "json"
path     = "/var/lib/128technology/user-running.json"
users    = "/datastore/config/authority/router/0/user"
name     = "name"
password = "password"
`

func TestParse(t *testing.T) {
	c, err := Parse([]byte(smallest))
	if err != nil {
		t.Fatal(err)
	}
	if c.Node.Asset != "conductor" || time.Duration(c.Guard.Limit) != 10*time.Minute || len(c.Revision) != 64 {
		t.Errorf("got %+v", c)
	}
	a, ok := c.Managing("user222")
	if !ok || a.Unit != "128T.service" || a.Driver() != "json" || a.Start != StartAnyway {
		t.Errorf("got %+v", a)
	}
	if _, ok := c.Application("128T"); !ok {
		t.Error("a unit is not found without its suffix")
	}
}

func TestDefaultStoreIsEmbedded(t *testing.T) {
	c, err := Parse([]byte("[[application]]\nunit='x.service'\naccounts=['a']\nrules={a='os'}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if a := c.Applications[0]; a.Driver() != "sqlite" || a.Name != "x" || c.Domain(a).Policies["a"].Conflict != shadowsync.RuleOS {
		t.Errorf("got %+v", a)
	}
}

func TestParseNamesTheFault(t *testing.T) {
	for text, want := range map[string]string{
		"[[application]]\nunit='x.service'\naccounts=['a']\ncolour='red'": `unknown key "colour"`,
		"[node\n": "line 2",
		"[[application]]\nunit='../x.service'\naccounts=['a']":                                                 "not the name of a service",
		"[[application]]\nname='x'\nunit='x.mount'\naccounts=['a']":                                            "not the name of a service",
		"[[application]]\nunit='x.service'\naccounts=[]":                                                       "accounts is empty",
		"[[application]]\nunit='x.service'\naccounts=['a\\nb']":                                                "must be an account name",
		"[[application]]\nunit='x.service'\naccounts=[\"a\\nb\"]":                                              "must be an account name",
		"[[application]]\nunit='x.service'\naccounts=['a']\n[[application]]\nunit='y.service'\naccounts=['a']": `managed by "x" already`,
		"[[application]]\nunit='x.service'\naccounts=['a']\nconflict='maybe'":                                  "must be os, store, newest or hold",
		"[[application]]\nunit='x.service'\nacounts=['a']":                                                     `unknown key "acounts", did you mean "accounts"`,
		"[[application]]\nunti='x.service'\naccounts=['a']":                                                    `unknown key "unti", did you mean "unit"`,
		"[nodes]\nname='x'\n[guard]\nlimits='1s'":                                                              `unknown key "nodes", did you mean "node"; line 4: unknown key "limits", did you mean "limit"`,
		"[node]\nlimit='1s'":                              `unknown key "limit", did you mean "guard.limit"`,
		"[application]\nunit='x.service'\naccounts=['a']": "[[application]]",
		"node=5":                                                   "node must be a table",
		"[sessions]\nkeep_own='yes'":                               "sessions.keep_own must be true or false",
		"[password]\nmin_length='12'":                              "password.min_length must be an integer",
		"[password]\nreject='x'":                                   "password.reject must be a list of strings",
		"[guard]\nlimit='0.5s'":                                    "must be from 1s to 24h, or 0s (no guard)",
		"[guard]\nlimit='48h'":                                     "guard.limit",
		"[password]\nexpiry_days=0":                                "password.expiry_days",
		"[password]\nmin_classes=5":                                "from 0 to 4",
		"[password]\nhistory=7":                                    "password.history",
		"[password]\nmin_days=91\nmax_days=90":                     "nobody could change",
		"[password]\nreject=['']":                                  "password.reject",
		"[password]\nreject=['" + strings.Repeat("x", 8193) + "']": "password.reject",
		"[audit]\nkeep_days=-1":                                    "audit.keep_days",
		"[notify]\ncommand='tell'":                                 "absolute path",
		"[notify]\ncommand='/tell'\nuser='a b'":                    "notify.user",
		"[sessions]\nend_on=['passwd']":                            "sessions.end_on",
		"[sessions]\nend_on=['watch']":                             "watch needs pam too",
		"[settle]\ntime='1'":                                       "settle.time must be a duration",
		"[second_factor]\nservices='sshd'":                         "must be a list of strings",
		"[second_factor]\nservices=['../sshd']":                    "the name of a file in /etc/pam.d, without a dot",
		"[second_factor]\nservices=['sshd', 'common-auth']":        "common-auth never asks for a second factor: other services include it",
		"[second_factor]\nservices=['sshd.new']":                   "without a dot",
		"[second_factor]\nservices=['cron']":                       "cron never asks for a second factor: nobody is there to answer",
		"[second_factor]\nservices=['su-l']":                       "su-l never asks",
		"[second_factor]\nservices=['sudo']":                       "sudo never asks",
		"[second_factor]\nservices=['pwupd-passwd']":               "pwupd-passwd never asks for a second factor: it must work whatever else is broken",
		"[second_factor]\nservices=['swaylock']":                   "a screen lock cannot ask",
	} {
		_, err := Parse([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

func TestSessions(t *testing.T) {
	for text, want := range map[string]shadowsync.Ending{
		"":                          {On: []shadowsync.SeenBy{"pam", "tool", "pcli"}},
		"[sessions]\nend_on = []\n": {On: []shadowsync.SeenBy{}},
		"[sessions]\nend_on = ['pam', 'watch']\nkeep_own = false\n": {On: []shadowsync.SeenBy{"pam", "watch"}, Own: true},
	} {
		c, err := Parse([]byte(text + smallest))
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Domain(c.Applications[0]).Ending; !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
}

func TestLoadTrustsRootOnly(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "c.toml")
	if err := os.WriteFile(path, []byte(smallest), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir, "c.toml"); err != nil {
		t.Error(err)
	}
	if err := os.Chmod(path, 0o622); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir, "c.toml"); err == nil {
		t.Error("took a file that others may write")
	}
	if err := os.Symlink(path, filepath.Join(dir, "link.toml")); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir, "link.toml"); err == nil {
		t.Error("followed a symbolic link")
	}
}

// TestIssuer: its length is counted in characters, however many bytes they take.
func TestIssuer(t *testing.T) {
	for issuer, takes := range map[string]bool{
		"conductor":                     true,
		strings.Repeat("é", 64):         true,
		strings.Repeat("é", 65):         false,
		strings.Repeat("a", 65):         false,
		"a:b":                           false,
		"a" + `\n`:                      false,
		"東京 " + strings.Repeat("本", 61): true,
	} {
		c, err := Parse([]byte(smallest + "[second_factor]\nissuer = \"" + issuer + "\"\n"))
		if (err == nil) != takes || takes && c.Issuer() != issuer {
			t.Errorf("%s: %v", issuer, err)
		}
		if err != nil && !strings.Contains(err.Error(), issuerForm.Says) {
			t.Errorf("%s: the refusal says %v", issuer, err)
		}
	}
}
