package scheme

import (
	"errors"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/password/crypt/format"
	"github.com/shadowsync/shadowsync/shadowsync"
)

func find(t testing.TB, name string) Scheme {
	t.Helper()
	s, err := Find(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// vectors come from the applications: their documentation, their tests, or a run of them.
var vectors = []struct {
	scheme, source, secret, value string
}{
	{"bcrypt", "crypt_blowfish's test", "U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"},
	{"django-pbkdf2-sha256", "Django 3.2, check of encode('lètmein', 'seasalt')", "lètmein", "pbkdf2_sha256$260000$seasalt$YlZ2Vggtqdc61YjArZuoApoBh9JNGYoDRBUGu6tcJQo="},
}

func TestVectors(t *testing.T) {
	for _, v := range vectors {
		t.Run(v.scheme+" "+v.source, func(t *testing.T) {
			s := find(t, v.scheme)
			for secret, want := range map[string]bool{v.secret: true, v.secret + "x": false, "x": false} {
				if got, err := s.Verify(v.value, []byte(secret), "admin"); got != want || err != nil {
					t.Errorf("Verify of %q = %v, %v; want %v", secret, got, err, want)
				}
			}
		})
	}
}

// cheap is a low cost of each scheme that has one, for tests.
var cheap = map[string]int{"bcrypt": 4, "django-pbkdf2-sha256": 1000}

func TestMakeVerifies(t *testing.T) {
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) {
			s, secret := find(t, name), []byte("correct hörse")
			value, err := s.Make(secret, "admin", "", cheap[name])
			if err != nil {
				t.Fatal(err)
			}
			if parts, ok := Split(value, len(s.Parts())); !ok {
				t.Errorf("%q has %d parts", value, len(parts))
			}
			if ok, err := s.Verify(value, secret, "admin"); !ok || err != nil {
				t.Errorf("Verify = %v, %v", ok, err)
			}
			if ok, err := s.Verify(value, []byte("correct horse"), "admin"); ok || err != nil {
				t.Errorf("Verify of another = %v, %v", ok, err)
			}
			if len(s.forms) > 0 && strings.Contains(value, "correct") {
				t.Error("the value shows the clear text")
			}
		})
	}
}

func TestRefused(t *testing.T) {
	for _, tc := range []struct{ scheme, secret, want string }{
		{"bcrypt", strings.Repeat("x", 73), "longer than 72 bytes"},
		{"bcrypt", "", "empty"},
		{"bcrypt", "a\x00b", "contains a NUL byte"},
		{"django-pbkdf2-sha256", "\xff", "not UTF-8"},
		{"django-pbkdf2-sha256", strings.Repeat("x", 512), "longer than 511 bytes"},
	} {
		t.Run(tc.scheme+" "+tc.want, func(t *testing.T) {
			s := find(t, tc.scheme)
			_, err := s.Make([]byte(tc.secret), "admin", "", 0)
			for _, err := range []error{err, s.Check([]byte(tc.secret))} {
				if refused := (*shadowsync.RefusedError)(nil); !errors.As(err, &refused) || refused.Reason != tc.want {
					t.Errorf("got %v, want %q", err, tc.want)
				}
			}
		})
	}
}

func TestLikeIsFollowed(t *testing.T) {
	for _, tc := range []struct {
		name, scheme, like, prefix string
	}{
		{"variant and cost of bcrypt", "bcrypt", "$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "$2y$05$"},
		{"iterations of Django", "django-pbkdf2-sha256", "pbkdf2_sha256$1234$seasalt$YlZ2Vggtqdc61YjArZuoApoBh9JNGYoDRBUGu6tcJQo=", "pbkdf2_sha256$1234$"},
		{"too costly", "bcrypt", "$2b$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "$2b$04$"},
		{"the variant with the bug", "bcrypt", "$2x$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "$2b$04$"},
		{"no value at all", "bcrypt", "!", "$2b$04$"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			value, err := find(t, tc.scheme).Make([]byte("secret"), "admin", tc.like, cheap[tc.scheme])
			if err != nil || !strings.HasPrefix(value, tc.prefix) {
				t.Errorf("got %q, %v; want %q", value, err, tc.prefix)
			}
		})
	}
}

func TestVerifyRefuses(t *testing.T) {
	for _, tc := range []struct {
		scheme, value string
		want          error
	}{
		{"bcrypt", "", ErrOther},
		{"bcrypt", "$2x$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", ErrOther},
		{"bcrypt", "$2b$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", format.ErrTooCostly},
		{"django-pbkdf2-sha256", "pbkdf2_sha256$1$salt$", ErrOther},
		{"django-pbkdf2-sha256", "pbkdf2_sha256$999999999$salt$YlZ2Vggtqdc61YjArZuoApoBh9JNGYoDRBUGu6tcJQo=", ErrOther},
	} {
		t.Run(tc.scheme+" "+tc.value, func(t *testing.T) {
			if ok, err := find(t, tc.scheme).Verify(tc.value, []byte("secret"), "admin"); ok || !errors.Is(err, tc.want) {
				t.Errorf("got %v, %v; want %v", ok, err, tc.want)
			}
		})
	}
}
