package origin

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func subUIDsOf(t *testing.T, subuid, passwd string) SubUIDs {
	t.Helper()
	root := t.TempDir()
	err := errors.Join(os.Mkdir(filepath.Join(root, "etc"), 0o755),
		os.WriteFile(filepath.Join(root, "etc/subuid"), []byte(subuid), 0o644),
		os.WriteFile(filepath.Join(root, "etc/passwd"), []byte(passwd), 0o644))
	if err != nil {
		t.Fatal(err)
	}
	return ReadSubUIDs(root)
}

func TestParseUIDMap(t *testing.T) {
	got := parseUIDMap("         0       1001          1\n         1     100000      65536\n")
	if want := []Extent{{0, 1001, 1}, {1, 100000, 65536}}; !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	if got := parseUIDMap("x\n0 1\n-1 2 3\n"); got != nil {
		t.Errorf("of garbage: %v", got)
	}
}

func TestSubUIDsOwner(t *testing.T) {
	s := subUIDsOf(t, "# no line\nadmin:100000:65536\n1002:165536:65536\nboth:300000:10\nadmin:300005:10\nadmin:500010:10\nadmin:500000:10\nadmin:500015:10\nadmin:500030:10\nevil:0:65536\nnobody-knows:400000:9\n",
		"admin:x:1001:1001::/:/bin/sh\nsomebody:x:1002:1002::/:\nboth:x:1003:1003::/:\nevil:x:1004:1004::/:\n")
	for _, c := range []struct{ start, count, owner int }{
		{100000, 65536, 1001}, {100004, 1, 1001}, {165536, 1, 1002}, {165535, 2, -1}, {300000, 5, 1003}, {300007, 1, -1}, {300012, 1, 1001}, {500000, 20, 1001}, {500005, 20, 1001}, {500005, 10, 1001}, {500000, 26, -1}, {500015, 20, -1}, {499999, 2, -1}, {5, 1, -1}, {400000, 1, -1}, {1 << 31, 1, -1},
	} {
		owner, ok := s.Owner(c.start, c.count)
		if owner != c.owner || ok != (c.owner >= 0) {
			t.Errorf("%d uids from %d are %d's (%v), want %d", c.count, c.start, owner, ok, c.owner)
		}
	}
}
