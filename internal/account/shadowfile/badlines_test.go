package shadowfile

import (
	"maps"
	"testing"
)

func TestBadLines(t *testing.T) {
	const passwd = "root:x:0:0:::\nadmin:x:1000:1000:::\nbob:x:1001:1001:::\n"
	for shadow, want := range map[string]map[string]int{
		"root:*:1:0:9:7:::\nadmin:$6$a:1:0:9:7:::\nbob:*:1::::::\n":             {},
		"root:*:1:0:9:7:::\nadmin:$6$a:1:0:9:7:::::\nbob:*:1::::::\n":           {"admin": 2},
		"admin:$6$a:1:0:9:7:::9:\nbob:*:x::::::\n":                              {"admin": 1, "bob": 2},
		"admin:$6$a:1:0:9:7:::::\nbob\nadmin:$6$b:1:0:9:7:::\n":                 {"bob": 2},
		"bob:*:1::::::\nadmin:$6$a:1:0\n":                                       {"admin": 2},
		"bob:*:1::::::\nghost:::::::::::\n# admin:::::::::::\n":                 {},
		"\n\nbob:*:1::::::\nadmin:$6$a:1:0:9:7:::::\nadmin:$6$a:1:0:9:7:::::\n": {"admin": 4},
	} {
		root := testRoot(t, passwd, testGroup, shadow)
		if got, err := Open(root).BadLines(t.Context(), []string{"admin", "bob"}); err != nil || !maps.Equal(got, want) {
			t.Errorf("%q: %v, %v, want %v", shadow, got, err, want)
		}
	}
}

// TestPwconvHarm: pwconv is recommended only if it would do nothing but move passwords.
func TestPwconvHarm(t *testing.T) {
	const passwd = "root:x:0:0:::\nadmin:$6$a:1000:1000:::\nbob:x:1001:1001:::\n"
	for shadow, want := range map[string]string{
		"# a comment\n\nroot:*:1:0:9:7:::\nbob:*:1::::::\n+@netgroup::::::::\n": "",
		"root:*:1:0:9:7:::\nbob:*:1::::::\nadmin:$6$a:1:0:9:7:::\n":             "",
		"root:*:1:0:9:7:::\nbob:$6$a:1:0:9:7:::::\n":                            "line 2 of /etc/shadow cannot be read",
		"root:*:1:0:9:7:::\nbob:$6$a:x:0:9:7:::\n":                              "line 2 of /etc/shadow cannot be read",
		"root:*:1:0:9:7:::\nbob:*:1::::::\nghost:$6$a:1:0:9:7:::::\n":           "line 3 of /etc/shadow cannot be read",
		"root:*:1:0:9:7:::\nghost:$6$a:1:0:9:7:::\nbob:*:1::::::\n":             "line 2 of /etc/shadow is of ghost, who is not in /etc/passwd",
		"root:*:1:0:9:7:::\n": "bob has no line in /etc/shadow",
		"":                    "root has no line in /etc/shadow",
	} {
		root := testRoot(t, passwd, testGroup, shadow)
		if got, err := Open(root).PwconvHarm(t.Context()); err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", shadow, got, err, want)
		}
	}
}
