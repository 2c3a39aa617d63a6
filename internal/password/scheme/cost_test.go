package scheme

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/password/crypt/format"
)

// hostile values are whole ones of their scheme that would take minutes or gigabytes.
var hostile = []struct{ scheme, value string }{
	{"bcrypt", "$2b$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"},
	{"argon2id", "$argon2id$v=19$m=2097152,t=1,p=4$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"},
	{"argon2id", "$argon2id$v=19$m=65536,t=4000000,p=4$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"},
	{"scrypt", "$scrypt$ln=30,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E"},
	{"scrypt", "$scrypt$ln=16,r=8,p=1024$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E"},
	{"wordpress", "$P$SIQRaTwmfeRo7ud9Fh4E2PdI0S3r.L0"},
	{"scram-sha-256", "SCRAM-SHA-256$9223372036854775807:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="},
	{"gitea", "pbkdf2$5000000$50\x1f01020304\x1f" + strings.Repeat("00", 50)}, // two blocks of each
	{"ldap-crypt", "{CRYPT}$6$rounds=999999999$abcdefghijklmnop$K9ViLilDpRy6xLunKXsaoeGhKInKdDtpCLyoTSCkDcguT34R9cMK08/eq3hGwOWWgyYCTwWqVmKpFAHjf73Mv/"},
	{"ldap-crypt", "{CRYPT}$7$SU..../....aaaaaaaa$93LWReKKBIXILwg.FuD/R78z2jJM6O0Fz6fry3AsPUD"},
}

func TestHostileCosts(t *testing.T) {
	for _, tc := range hostile {
		t.Run(tc.value, func(t *testing.T) {
			s := find(t, tc.scheme)
			if ok, err := s.Verify(tc.value, []byte("secret"), "admin"); ok || !errors.Is(err, format.ErrTooCostly) {
				t.Errorf("Verify = %v, %v; want ErrTooCostly", ok, err)
			}
			value, err := s.Make([]byte("secret"), "admin", tc.value, cheap[tc.scheme])
			if err != nil {
				t.Fatal(err)
			}
			if _, made, _, err := s.parse(value); err != nil || made.cost().Within(limits) != nil {
				t.Errorf("made %q, %v", value, err)
			}
		})
	}
}

func TestCosts(t *testing.T) {
	for _, tc := range []struct {
		scheme string
		cost   int
		ok     bool
	}{
		{"bcrypt", 0, true},
		{"bcrypt", 3, false},
		{"bcrypt", 15, true},
		{"bcrypt", 16, false},
		{"bcrypt", -1, false},
		{"argon2id", 16, true},
		{"argon2id", 17, false},
		{"scrypt", 17, true},
		{"scrypt", 18, false},
		{"django-pbkdf2-sha256", 999, false},
		{"django-pbkdf2-sha256", 5_000_000, true},
		{"django-pbkdf2-sha256", 5_000_001, false},
		{"nt", 0, true},
		{"nt", 1, false},
		{"ldap-ssha", 1, false},
		{"ldap-crypt", 999, false},
		{"ldap-crypt", 1000, true},
		{"scram-sha-256", 4095, false},
		{"grafana", 1000, false},
		{"gitea", 1, false},
		{"wordpress", 3, false},
		{"nextcloud", 99, false},
	} {
		if err := find(t, tc.scheme).CheckCost(tc.cost); (err == nil) != tc.ok {
			t.Errorf("%s at %d: %v", tc.scheme, tc.cost, err)
		}
	}
	// Whatever the configuration may ask for, the result can be verified.
	for _, s := range table() {
		for _, cost := range []int{0, 4, 10, 15, 17, 1000, 5_000_000} {
			fresh, err := s.forms[0].fresh(cost)
			if err != nil {
				continue
			}
			if err := fresh.cost().Within(limits); err != nil {
				t.Errorf("%s at %d: %v", s.name, cost, err)
			}
		}
	}
}

// TestMemoryIsFreeAgain: whoever verifies a value and then makes another one has the memory of one of them.
func TestMemoryIsFreeAgain(t *testing.T) {
	const memory = 64 << 20
	like := fmt.Sprintf("$argon2id$v=19$m=%d,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", memory>>10)
	s := find(t, "argon2id")
	for what, do := range map[string]func() error{
		"verified": func() error { _, err := s.Verify(like, []byte("secret"), "admin"); return err },
		"made":     func() error { _, err := s.Make([]byte("secret"), "admin", like, 0); return err },
	} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
		var now runtime.MemStats
		runtime.ReadMemStats(&now)
		if now.HeapAlloc > memory/2 {
			t.Errorf("%s: there are still %d MiB", what, now.HeapAlloc>>20)
		}
	}
}

func TestPrice(t *testing.T) {
	for _, tc := range []struct {
		scheme, like string
		cost         int
		above        bool // 100 MB
		slow         bool
	}{
		{"bcrypt", "", 0, false, false},
		{"bcrypt", "", 15, false, true},
		{"nt", "", 0, false, false},
		{"argon2id", "", 0, false, true},
		{"gitea", "scrypt$65536$16$2$50\x1f01020304\x1f" + strings.Repeat("00", 50), 0, true, true},
		{"gitea", "", 0, false, false},
		{"django-pbkdf2-sha256", "argon2$argon2id$v=19$m=200000,t=2,p=8$Y041dExhNkljRUUy$TMa6A8fPJhCAUXRhJXCXdw", 1000, true, true}, // only verified
	} {
		price := find(t, tc.scheme).Price(tc.like, tc.cost)
		if above := price.Memory > 100e6; above != tc.above || price.Slow != tc.slow {
			t.Errorf("%s %q %d: %+v", tc.scheme, tc.like, tc.cost, price)
		}
	}
}
