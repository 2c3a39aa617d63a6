package shadowfile

import (
	"os"
	"reflect"
	"testing"
)

// Every line counts, even a second one with the same name, except lines that glibc does not accept.
func TestCensus(t *testing.T) {
	got := parseCensus("a:x:+7:8:::\nbad::::\na:x:0:9:::\n", "g:x:8:a, b,,\ng:x:y:z\n", "g:!:boss:a,c\nh:!\n")
	want := Census{
		Logins: []Login{{"a", 7, 8}, {"a", 0, 9}},
		Groups: []Group{{Name: "g", GID: 8, Members: []string{"a", "b"}}, {Name: "g", Shadowed: true, Members: []string{"boss", "a", "c"}}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// A file that cannot be read is an error, except for gshadow(5), which may be missing.
func TestCountFails(t *testing.T) {
	outside := testRoot(t, testPasswd, testGroup, testShadow)
	if c, err := Count(t.Context(), outside); err != nil || len(c.Logins) == 0 || len(c.Groups) == 0 {
		t.Errorf("%+v, %v", c, err)
	}
	for name, spoil := range map[string]func(root string){
		"group links up and outside": func(root string) { link(t, "../../../.."+outside+"/etc/group", root, "etc/group") },
		"no group":                   func(root string) { must(t, os.Remove(root+"/etc/group")) },
		"no passwd":                  func(root string) { must(t, os.Remove(root+"/etc/passwd")) },
		"gshadow is a folder":        func(root string) { must(t, os.Mkdir(root+"/etc/gshadow", 0o700)) },
	} {
		root := testRoot(t, testPasswd, testGroup, testShadow)
		spoil(root)
		if c, err := Count(t.Context(), root); err == nil {
			t.Errorf("%s: %+v", name, c)
		}
	}
}
