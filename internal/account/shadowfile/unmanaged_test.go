package shadowfile

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestUnmanaged(t *testing.T) {
	root := testRoot(t, testPasswd, testGroup, testShadow)
	f := Open(root)
	digest := func(content string) string {
		t.Helper()
		put(t, filepath.Join(root, "etc/shadow"), content, 0o640)
		d, err := f.Unmanaged(soon(t), []string{"admin"})
		if err != nil {
			t.Fatal(err)
		}
		return d[0]
	}
	before := digest(testShadow)
	same := map[string]string{
		"managed line": strings.ReplaceAll(testShadow, "admin:$6$a", "admin:$6$b"),
		"comment":      strings.Replace(testShadow, "# a comment\n", "", 1),
		"newline":      testShadow + "\n",
	}
	for name, content := range same {
		if digest(content) != before {
			t.Errorf("%s: the digest moved", name)
		}
	}
	if digest(strings.Replace(testShadow, "root:*", "root:x", 1)) == before {
		t.Error("another account's change does not show")
	}
}

// TestUnmanagedBeforeThisBoot: the digests after the first are those of the file without the last lines,
// as long as a boot may have added them.
func TestUnmanagedBeforeThisBoot(t *testing.T) {
	const (
		passwd = "root:x:0:0::/root:/bin/sh\nadmin:x:1000:1000::/:/bin/sh\nclerk:x:1001:1001::/:/bin/sh\n" +
			"web:x:990:990::/:/bin/sh\nmail:x:991:991::/:/bin/sh\nopen::992:992::/:/bin/sh\n" +
			"peer:x:1002:1002::/:/bin/sh\n"
		before = "root:*:1::::::\nclerk:$6$c:1::::::\nadmin:$6$a:1::::::\n"
	)
	root := testRoot(t, passwd, testGroup, before)
	f := Open(root)
	digests := func(content string) []string {
		t.Helper()
		put(t, filepath.Join(root, "etc/shadow"), content, 0o640)
		d, err := f.Unmanaged(soon(t), []string{"admin"})
		must(t, err)
		return d
	}
	known := digests(before)[0]
	for _, c := range []struct {
		name, added string
		want        int // which of the digests is the one from before; -1: none
	}{
		{"nothing", "", 0},
		{"as sysusers adds it", "web:!*:2::::::\n", 1},
		{"two, as other tools lock them", "web:!:2::::::\nmail:*:2::::::\n", 2},
		{"before a managed account's", "web:!*:2::::::\nadmin:$6$b:2::::::\n", 1},
		{"with a password", "web:$6$w:2::::::\n", -1},
		{"with a locked password", "web:!$6$w:2::::::\n", -1},
		{"with no password to ask for", "web::2::::::\n", -1},
		{"whose password is not in shadow(5)", "open:!:2::::::\n", -1},
		{"a person's", "peer:!:2::::::\n", -1},
		{"of no account", "ghost:!:2::::::\n", -1},
		{"one with a password after it", "web:!*:2::::::\nmail:$6$m:2::::::\n", -1},
		{"one with a password before it", "mail:$6$m:2::::::\nweb:!*:2::::::\n", -1},
	} {
		if got := slices.Index(digests(before+c.added), known); got != c.want {
			t.Errorf("%s: the digest from before is number %d, want %d", c.name, got, c.want)
		}
	}
}
