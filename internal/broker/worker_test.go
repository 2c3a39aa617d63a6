package broker

import (
	"strings"
	"testing"
)

// TestUnitParts: two stores with one unit name would end each other's worker for ever.
func TestUnitParts(t *testing.T) {
	long := strings.Repeat("a", 64)
	of := map[string]string{}
	for _, name := range []string{"a", "a.b", "a-dot-b", "a-b", "a.-dot-b", "a-dot-.b", long, long + "." + long, long + "." + long[1:], long + "." + long + "b"} {
		part := unitPart(name)
		if before, used := of[part]; used {
			t.Errorf("%q and %q are both %q", before, name, part)
		}
		of[part] = name
		if len(part) > 64 || strings.Trim(part, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			t.Errorf("%q becomes %q", name, part)
		}
	}
	if part := unitPart("portal.roles"); part != "portal-dot-roles" {
		t.Errorf("a common name becomes %q", part)
	}
}
