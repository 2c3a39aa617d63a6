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
	{"argon2id", "libargon2's test", "password", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"},
	{"argon2id", "libargon2's test", "password", "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA"},
	{"scrypt", "passlib's documentation", "password", "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E"},
	{"passlib-pbkdf2-sha256", "passlib's documentation", "password", "$pbkdf2-sha256$6400$.6UI/S.nXIk8jcbdHx3Fhg$98jZicV16ODfEsEZeYPGHU3kbrUrvUEXOPimVSQDD44"},
	{"gitea", "Gitea's test", "abcdef", "pbkdf2\x1faaaaaaaaaa\x1fab48d5471b7e6ed42d10001db88c852ff7303c788e49da5c3c7b63d5adf96360303724b74b679223a3dea8a242d10abb1913"},
	{"gitea", "Gitea's test, no algorithm", "abcdef", "\x1faaaaaaaaaa\x1fab48d5471b7e6ed42d10001db88c852ff7303c788e49da5c3c7b63d5adf96360303724b74b679223a3dea8a242d10abb1913"},
	{"gitea", "Gitea's test", "abcdef", "pbkdf2$320000$50\x1f01020304\x1f84e233114499e8721da80e85568e5b7b5900b3e49a30845fcda9d1e1756da4547d70f8740ac2b4a5d82f88cebcd27f21bfe2"},
	{"gitea", "Gitea's test", "abcdef", "argon2$2$65536$8$50\x1f01020304\x1f9c287db63a91d18bb1414b703216da4fc431387c1ae7c8acdb280222f11f0929831055dbfd5126a3b48566692e83ec750d2a"},
	{"gitea", "Gitea's test", "abcdef", "scrypt$65536$16$2$50\x1f01020304\x1f25fe5f66b43fa4eb7b6717905317cd2223cf841092dc8e0a1e8c75720ad4846cb5d9387303e14bc3c69faa3b1c51ef4b7de1"},
	{"gitea", "Gitea's test", "abcdef", "bcrypt$10\x1f01020304\x1f$2a$10$qhgm32w9ZpqLygugWJsLjey8xRGcaq9iXAfmCeNBXxddgyoaOC3Gq"},
	{"grafana", "Grafana's test", "iamgod", "pepper\x1fe59c568621e57756495a468f47c74e07c911b037084dd464bb2ed72410970dc849cabd71b48c394faf08a5405dae53741ce9"},
	{"wordpress", "phpass's test", "test12345", "$P$9IQRaTwmfeRo7ud9Fh4E2PdI0S3r.L0"},
	{"mysql-native", "MySQL's documentation", "password", "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19"},
	{"nt", "[MS-NLMP] 4.2.2.1.2", "Password", "A4F49C406510BDCAB6824EE7C30FD852"},
	{"nt", "lower case", "Password", "a4f49c406510bdcab6824ee7c30fd852"},
	{"scram-sha-256", "RFC 7677, 3", "pencil", "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="},
	{"django-argon2", "Django's test", "secret", "argon2$argon2id$v=19$m=102400,t=2,p=8$Y041dExhNkljRUUy$TMa6A8fPJhCAUXRhJXCXdw"},
	{"django-pbkdf2-sha256", "another of Django's hashers", "secret", "argon2$argon2id$v=19$m=102400,t=2,p=8$Y041dExhNkljRUUy$TMa6A8fPJhCAUXRhJXCXdw"},
	{"htpasswd", "openssl passwd -apr1", "correct horse", "$apr1$saltsalt$EGVZDNN6gOqijy.tv9axG/"},
	{"ldap-ssha", "Python's hashlib", "secret", "{SSHA}1G904nLkTkGWjKNnQuB/hpWXC/hzYWx0c2FsdA=="},
	{"ldap-ssha", "Python's hashlib", "secret", "{ssha512}aCu7JRc+kLsuEmFs1zTY+AiP7DSGnjjG+dH28Dp+E5usqoAixeTPihKqZmkWal4mUfp63tqvCAkFV1LKTDFH6XNhbHRzYWx0"},
	{"ldap-ssha512", "slappasswd -h {SHA}", "password", "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="},
	{"mosquitto", "Python's hashlib", "sécret", "$6$dHdlbHZlIGJ5dGVz$zWqngsH0Dyha2b3frfISkTlYIJwjgORgrgnYQjfdL1fUIKh21bHvmKsPMVykxDc7u+rBaG5orqM+wBypOlUeZA=="},
	{"mosquitto", "Python's hashlib", "sécret", "$7$101$dHdlbHZlIGJ5dGVz$uPbLYOynvD2gBG+49BoSza7B82HuXs2VQwhWbAWAXtM9pe9bBX0/lU2wiHalFULkGNcMMJItzm0ZyuxLUoVaaw=="},
	{"scram-sha-256", "MD5 of a role", "secret", "md5ea909ccfbf42c1d230f26167db4d4fdb"},
	{"htpasswd", "htpasswd -s", "password", "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="},
	{"htpasswd", "crypt(3)", "correct horse", "$5$short$zcR083ghWLoWl18WrlP31BYbZAdiyYFNuPkrdLUNuEB"},
	{"ldap-crypt", "crypt(3)", "correct horse", "{crypt}$5$rounds=1000$abc$/cRuvrIiQqQvcPwD.a/LO47x90cA9f8oqYBouKihds1"},
	{"django-pbkdf2-sha256", "Django 3.2, check of encode('lètmein', 'seasalt')", "lètmein", "pbkdf2_sha256$260000$seasalt$YlZ2Vggtqdc61YjArZuoApoBh9JNGYoDRBUGu6tcJQo="},
}

func TestVectors(t *testing.T) {
	for _, v := range vectors {
		t.Run(v.scheme+" "+v.source, func(t *testing.T) {
			s := find(t, v.scheme)
			for secret, want := range map[string]bool{v.secret: true, v.secret + "x": false} {
				if got, err := s.Verify(v.value, []byte(secret), "admin"); got != want || err != nil {
					t.Errorf("Verify of %q = %v, %v; want %v", secret, got, err, want)
				}
			}
		})
	}
}

// cheap is a low cost of each scheme that has one, for tests.
var cheap = map[string]int{
	"bcrypt": 4, "argon2id": 1, "scrypt": 10, "passlib-pbkdf2-sha256": 1000, "passlib-pbkdf2-sha512": 1000,
	"django-pbkdf2-sha256": 1000, "django-argon2": 1, "django-bcrypt-sha256": 4, "django-scrypt": 10,
	"gitea": 1000, "nextcloud": 1, "wordpress": 4, "home-assistant": 4, "mosquitto": 1000, "htpasswd": 4,
	"ldap-crypt": 1000,
}

// likes are values of the forms that a scheme makes besides its default.
var likes = map[string][]string{
	"argon2id":  {"$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA"},
	"mosquitto": {"$6$dHdlbHZlIGJ5dGVz$zWqngsH0Dyha2b3frfISkTlYIJwjgORgrgnYQjfdL1fUIKh21bHvmKsPMVykxDc7u+rBaG5orqM+wBypOlUeZA=="},
}

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
