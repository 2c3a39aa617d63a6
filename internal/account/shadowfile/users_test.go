package shadowfile

import (
	"slices"
	"testing"
)

func TestUsers(t *testing.T) {
	const passwd = "root:x:0:0:::\ntoor:x:+0:5:::\nalice:x:1001:100:::\ntwin:x:1001:100:::\nmallory:x:1009:100:::\n" +
		"hash:$6$x$y:1010:100:::\nhashes:##hashes:1011:100:::\nnouid:x::100:::\n+nis:x:1012:100:::\nmallory:x:0:0:::\n# c:x:1:1:::\n"
	want := []user{
		{"root", 0, true},
		{"toor", 0, true},
		{"alice", 1001, true},
		{"twin", 1001, true},
		{"mallory", 1009, true},
		{"hash", 1010, false},
		{"hashes", 1011, true},
	}
	got := parseUsers(passwd, nil)
	if !slices.Equal(got.list, want) {
		t.Errorf("users\n%v, want\n%v", got.list, want)
	}
	for i, u := range slices.Backward(want) {
		if got.find(u.name) != i {
			t.Errorf("%s is not found at %d", u.name, i)
		}
	}
	only := parseUsers(passwd, pick([]string{"twin"}))
	if want := []user{{"twin", 1001, true}}; !slices.Equal(only.list, want) {
		t.Errorf("one of them: %v, want %v", only.list, want)
	}
	if only.find("alice") >= 0 || only.find("") >= 0 {
		t.Error("found who was not asked for")
	}
}
