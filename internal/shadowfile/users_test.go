package shadowfile

import (
	"slices"
	"testing"
)

func TestProtection(t *testing.T) {
	const group = "root:x:0:\nsudo:x:27:alice, bob,,carol\nwheel:x:10:dave\nadmins:x:27:erin\nbad:x:y:mallory\n" +
		"sudo:x:270:frank\n+sudo:x:1:mallory\nusers:x:100:grace,mallory\n"
	const passwd = "root:x:0:0:::\ntoor:x:+0:5:::\nalice:x:1001:100:::\nbob:x:1002:100:::\ncarol:x:1003:100:::\ndave:x:1004:100:::\n" +
		"erin:x:1005:100:::\nfrank:x:1006:100:::\ngrace:x:1007:100:::\nprimary:x:1008:27:::\ntwin:x:1001:100:::\nmallory:x:1009:100:::\n" +
		"hash:$6$x$y:1010:100:::\nhashes:##hashes:1011:100:::\nnouid:x::100:::\n+nis:x:1012:100:::\nmallory:x:0:0:::\n# c:x:1:1:::\n"
	want := []user{
		{"root", 0, true, "uid 0"},
		{"toor", 0, true, "uid 0"},
		{"alice", 1001, true, "member of sudo"},
		{"bob", 1002, true, "member of sudo"},
		{"carol", 1003, true, "member of sudo"},
		{"dave", 1004, true, "member of wheel"},
		{"erin", 1005, true, "member of sudo"},
		{"frank", 1006, true, "member of sudo"},
		{"grace", 1007, true, ""},
		{"primary", 1008, true, "member of sudo"},
		{"twin", 1001, true, "same uid as alice, member of sudo"},
		{"mallory", 1009, true, ""},
		{"hash", 1010, false, ""},
		{"hashes", 1011, true, ""},
	}
	got := parseUsers(passwd, newProtection(group, []string{"sudo", "wheel"}), nil)
	if !slices.Equal(got.list, want) {
		t.Errorf("users\n%v, want\n%v", got.list, want)
	}
	for i, u := range slices.Backward(want) {
		if got.find(u.name) != i {
			t.Errorf("%s is not found at %d", u.name, i)
		}
	}
	only := parseUsers(passwd, newProtection(group, []string{"users"}), pick([]string{"twin"}))
	if want := []user{{"twin", 1001, true, "member of users"}}; !slices.Equal(only.list, want) {
		t.Errorf("with another protected group: %v, want %v", only.list, want)
	}
	if only.find("alice") >= 0 || only.find("") >= 0 {
		t.Error("found who was not asked for")
	}
}
