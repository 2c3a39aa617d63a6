package shadowsync

import (
	"strings"
	"testing"
)

func TestCheckUnit(t *testing.T) {
	t.Parallel()
	long := func(n int) string { return strings.Repeat("x", n-len(".service")) + ".service" }
	for name, valid := range map[string]bool{
		"128T.service": true, "foo@bar.service": true, `we\x2dird.service`: true, "a:b_c-d.e.service": true, "foo@a@b.service": true,
		"": false, ".service": false, "128T": false, "128T.socket": false, "foo@.service": false, "@foo.service": false,
		"../x.service": false, "a/b.service": false, "a b.service": false, "a%n.service": false, "a\n.service": false,
		"..service": false, "ä.service": false,
		"shadowsync.service": false, "shadowsync-start@a.service": false, "shadowsync-settle@a.service": false, "shadowsync-demo.service": true,
		long(200): true, long(unitMost): true, long(unitMost + 1): false, long(247): false, long(255): false, long(300): false,
	} {
		if err := CheckUnit(name); (err == nil) != valid {
			t.Errorf("CheckUnit(%q) = %v, want valid: %v", name, err, valid)
		}
	}
	for _, prefix := range ourInstances {
		if hook := prefix + long(unitMost); len(hook) > 255 {
			t.Errorf("%s of the longest name has %d bytes", prefix, len(hook))
		}
	}
}
