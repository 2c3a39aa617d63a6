package onetime

import (
	"math"
	"regexp"
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	for _, tt := range []struct {
		typed string
		kind  Kind
		code  string
	}{
		{"123456", TOTP, "123456"},
		{"123 456", TOTP, "123456"},
		{" 123-456\t", TOTP, "123456"},
		{"12345678", Mailed, "12345678"},
		{"1234 5678", Mailed, "12345678"},
		{"abcdef-ghjkmn-pqrstu", Recovery, "abcdefghjkmnpqrstu"},
		{"ABCDEF GHJKMN PQRSTU", Recovery, "abcdefghjkmnpqrstu"},
		{"abcdefghjkmnpqrstu", Recovery, "abcdefghjkmnpqrstu"},
		{"abcd-efgh-jkmn-pqrs-tuvw", Enrolment, "abcdefghjkmnpqrstuvw"},
		{"a-b-c-d-e-f-g-h-j-k-m-n-p-q-r-s-t-u-v-w", Enrolment, "abcdefghjkmnpqrstuvw"},
		{"", Unknown, ""},
		{"-- -", Unknown, ""},
		{"lost", Unknown, ""},
		{"12345", Unknown, ""},
		{"1234567", Unknown, ""},
		{"123456789", Unknown, ""},
		{"12345a", Unknown, ""},
		{"１２３４５６", Unknown, ""},
		{"123456\n", Unknown, ""},
		{"123456\x00", Unknown, ""},
		{"abcdef-ghjkmn-pqrst", Unknown, ""},
		{"abcdef-ghijkm-npqrst", Unknown, ""},
		{"abcdef-ghjkmn-pqrst1", Unknown, ""},
		{"\b\n\r\177INCORRECT", Unknown, ""},
		{"123456" + strings.Repeat(" ", 58), TOTP, "123456"},
		{"123456" + strings.Repeat(" ", 59), Unknown, ""},
		{strings.Repeat("a", 1<<20), Unknown, ""},
	} {
		typed := []byte(tt.typed)
		kind, code := Read(typed)
		if kind != tt.kind || string(code) != tt.code || (code == nil) != (kind == Unknown) {
			t.Errorf("%.40q: %v %q, want %v %q", tt.typed, kind, code, tt.kind, tt.code)
		}
		if string(typed) != tt.typed {
			t.Errorf("%.40q was changed to %.40q", tt.typed, typed)
		}
	}
}

func TestNewCodesHaveTheirForm(t *testing.T) {
	for _, tt := range []struct {
		create func() string
		kind   Kind
		form   string
	}{
		{NewMailed, Mailed, `^[0-9]{8}$`},
		{NewEnrolment, Enrolment, `^[a-hjkmnp-z]{4}(-[a-hjkmnp-z]{4}){4}$`},
		{func() string { return NewRecovery()[0] }, Recovery, `^[a-hjkmnp-z]{6}(-[a-hjkmnp-z]{6}){2}$`},
	} {
		form, seen := regexp.MustCompile(tt.form), map[byte]bool{}
		for range 500 {
			code := tt.create()
			kind, _ := Read([]byte(code))
			if !form.MatchString(code) || kind != tt.kind {
				t.Fatalf("%v: %q is read as %v", tt.kind, code, kind)
			}
			for _, c := range []byte(strings.ReplaceAll(code, "-", "")) {
				seen[c] = true
			}
		}
		alphabet := letters
		if tt.kind == Mailed {
			alphabet = digits
		}
		// That one of 23 letters is not among 9000 has a chance of 1 in 10^172.
		if len(seen) != len(alphabet) {
			t.Errorf("%v: only %d of %d characters occur", tt.kind, len(seen), len(alphabet))
		}
	}
}

func TestRecoveryCodesDiffer(t *testing.T) {
	seen := map[string]bool{}
	for _, code := range append(NewRecovery(), NewRecovery()...) {
		seen[code] = true
	}
	if len(seen) != 2*RecoveryCodes {
		t.Errorf("%d different codes in two sets of %d", len(seen), RecoveryCodes)
	}
}

// The package comment states these figures, and the choice of the hash depends on them.
func TestEntropy(t *testing.T) {
	for _, f := range forms {
		want, stated := map[Kind]float64{Mailed: 26, Recovery: 81, Enrolment: 90}[f.kind]
		if bits := float64(f.length()) * math.Log2(float64(len(f.alphabet))); stated && math.Floor(bits) != want {
			t.Errorf("%v: %.1f bits, want %v", f.kind, bits, want)
		}
	}
}

func TestFormsDiffer(t *testing.T) {
	seen := map[[2]any]Kind{}
	for _, f := range forms {
		key := [2]any{f.alphabet, f.length()}
		if other, taken := seen[key]; taken {
			t.Errorf("%v and %v have the same form", f.kind, other)
		}
		seen[key] = f.kind
		if f.length()*2-1 > longest {
			t.Errorf("%v does not fit with a dash after each character", f.kind)
		}
	}
}

func TestHash(t *testing.T) {
	recovery, enrolment := NewRecovery()[0], NewEnrolment()
	for _, code := range []string{recovery, enrolment} {
		hash := Hash(code)
		if len(hash) != HashSize {
			t.Fatalf("a hash of %d bytes", len(hash))
		}
		for typed, want := range map[string]bool{
			code:                  true,
			strings.ToUpper(code): true,
			" " + strings.ReplaceAll(code, "-", " ") + " ": true,
			strings.ReplaceAll(code, "-", ""):              true,
			NewRecovery()[0]:                               false,
			NewEnrolment():                                 false,
			code[1:]:                                       false,
			code + "a":                                     false,
			"":                                             false,
			"123456":                                       false,
		} {
			if got := Matches(hash, []byte(typed)); got != want {
				t.Errorf("%q for %q: %v", typed, code, got)
			}
		}
		if string(Hash(code)) == string(hash) {
			t.Error("two hashes of a code are equal")
		}
	}
}

func TestMatchesRefusesWhatIsNoHash(t *testing.T) {
	code := NewEnrolment()
	for _, hash := range [][]byte{nil, {}, []byte(code), make([]byte, HashSize), Hash(code)[:HashSize-1], append(Hash(code), 0)} {
		if Matches(hash, []byte(code)) {
			t.Errorf("%x is taken for the hash of %s", hash, code)
		}
		if Matches(hash, nil) {
			t.Errorf("nothing matches %x", hash)
		}
	}
}

func TestShortCodesAreNotHashed(t *testing.T) {
	for _, code := range []string{"123456", NewMailed(), "lost", ""} {
		if hash := Hash(code); hash != nil {
			t.Errorf("%q: %x", code, hash)
		}
	}
}

func TestSame(t *testing.T) {
	for _, tt := range []struct {
		sent, typed string
		want        bool
	}{
		{"12345678", "12345678", true},
		{"12345678", "1234 5678", true},
		{"12345678", "12345679", false},
		{"12345678", "", false},
		{"", "", false},
		{"123456", "123456", false},
		{"lost", "lost", false},
	} {
		if got := Same([]byte(tt.sent), []byte(tt.typed)); got != tt.want {
			t.Errorf("%q for %q: %v", tt.typed, tt.sent, got)
		}
	}
}

func TestKindsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for kind := Unknown; kind <= Enrolment; kind++ {
		seen[kind.String()] = true
	}
	if len(seen) != 5 || seen[""] {
		t.Errorf("names are %v", seen)
	}
}
