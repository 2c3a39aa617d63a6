package scheme

import (
	"bytes"
	"testing"
)

// No value panics, costs more than the limits, or reads back as another one or one of another length; an empty digest or
// a short one never gets through.
func FuzzParse(f *testing.F) {
	for _, v := range vectors {
		f.Add(v.value)
		f.Add(v.value[:len(v.value)-1])
		f.Add(v.value + "$")
	}
	for _, v := range hostile {
		f.Add(v.value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		for _, s := range table() {
			form, setting, digest, err := s.parse(value)
			if err != nil {
				continue
			}
			if err := setting.cost().Within(limits); err != nil {
				t.Fatalf("%s: %v", s.name, err)
			}
			if len(digest) < minDigest && form.fresh != nil {
				t.Fatalf("%s: a digest of %d bytes", s.name, len(digest))
			}
			spelled := setting.encode(digest)
			_, again, same, err := s.parse(spelled)
			if err != nil || !bytes.Equal(same, digest) || again.encode(same) != spelled {
				t.Fatalf("%s: %q reads back differently, %v", s.name, spelled, err)
			}
			if s.name != "gitea" && len(spelled) != len(value) { // Gitea's old names lack their parameters
				t.Fatalf("%s: %q is spelled %q", s.name, value, spelled)
			}
			if renewed := setting.renew().encode(digest); form.fresh != nil {
				if _, _, _, err := s.parse(renewed); err != nil {
					t.Fatalf("%s: a new salt: %q, %v", s.name, renewed, err)
				}
			}
		}
	})
}

// Whatever stands in the store, Make makes what Verify takes, and nothing panics. Values that take
// long are left out, so that the fuzzer gets on.
func FuzzMake(f *testing.F) {
	for _, v := range vectors {
		f.Add(v.scheme, v.value, []byte(v.secret))
	}
	f.Fuzz(func(t *testing.T, name, like string, secret []byte) {
		s, err := Find(name)
		if err != nil {
			return
		}
		if _, setting, _, err := s.parse(like); err == nil && setting.cost().Seconds() > 0.05 {
			return
		}
		s.Verify(like, secret, "admin")
		value, err := s.Make(secret, "admin", like, cheap[name])
		if err != nil {
			return // refused
		}
		if ok, err := s.Verify(value, secret, "admin"); !ok || err != nil {
			t.Fatalf("%s: %q does not verify, %v", name, value, err)
		}
	})
}
