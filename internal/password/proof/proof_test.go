package proof

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/password/crypt"
	"github.com/shadowsync/shadowsync/internal/password/crypt/format"
	"github.com/shadowsync/shadowsync/internal/password/scheme"
	"github.com/shadowsync/shadowsync/shadowsync"
)

func TestSolve(t *testing.T) {
	long := strings.Repeat("x", 73)
	for name, tc := range map[string]struct {
		formats shadowsync.Formats
		secret  string
		given   string // the typed text, if it is not the secret
		prefix  string // of the resulting hash
		want    answer
	}{
		"only proven":                {nil, "secret", "", "", answer{}},
		"of somebody else":           {shadowsync.Formats{"$6$"}, "secret", "guessed", "", answer{NotProven: true}},
		"the first format":           {shadowsync.Formats{"$5$", "$6$"}, "secret", "", "$5$", answer{}},
		"the first that we can make": {shadowsync.Formats{"$sha1$", "$6$"}, "secret", "", "$6$", answer{}},
		"as long as bcrypt takes":    {shadowsync.Formats{"$2b$"}, long[1:], "", "$2b$", answer{}},
		"longer":                     {shadowsync.Formats{"$2b$"}, long, "", "", answer{Refused: "longer than 72 bytes"}},
		"longer, and not proven":     {shadowsync.Formats{"$2b$"}, "secret", long, "", answer{NotProven: true}},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.given == "" {
				tc.given = tc.secret
			}
			q := question{OSHash: osHash(t, tc.secret), Target: Target{Formats: tc.formats}, Make: tc.formats != nil}
			got, err := solve(q, []byte(tc.given))
			if err != nil {
				t.Fatal(err)
			}
			if hash := got.StoreHash; tc.prefix != "" {
				if ok, err := crypt.Verify(hash, []byte(tc.secret)); !ok || err != nil || !strings.HasPrefix(hash, tc.prefix) {
					t.Errorf("got %q: %v", hash, err)
				}
				got.StoreHash = ""
			}
			if got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
	if _, err := (Target{Formats: shadowsync.Formats{"$sha1$"}}).Hash([]byte("secret")); err == nil {
		t.Error("a hash was made that nobody can make")
	}
}

func osHash(t *testing.T, secret string) string {
	t.Helper()
	hash, err := crypt.Generate(format.SHA512, []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return hash
}

const django = "django-pbkdf2-sha256"

// djangoHash is a value of Django's with its own number of iterations.
func djangoHash(t *testing.T, secret string, cost int) string {
	t.Helper()
	value, err := Target{Scheme: django, Cost: cost}.Hash([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// TestSolveForAScheme: a value that the password fits stays, one that it does not fit is told apart, and a
// new one follows the cost of the present one.
func TestSolveForAScheme(t *testing.T) {
	os := osHash(t, "secret")
	fits, other := djangoHash(t, "secret", 1234), djangoHash(t, "another", 1234)
	for name, tc := range map[string]struct {
		like      string
		fit, make bool
		given     string
		want      answer // made means any new value
	}{
		"fits":                    {fits, true, false, "secret", answer{StoreHash: fits}},
		"fits, and would be made": {fits, true, true, "secret", answer{StoreHash: fits}},
		"differs":                 {other, true, false, "secret", answer{Differs: true}},
		"differs, and is made":    {other, true, true, "secret", answer{StoreHash: made}},
		"made anew":               {fits, false, true, "secret", answer{StoreHash: made}},
		"no value yet":            {"", false, true, "secret", answer{StoreHash: made}},
		"junk, and is made":       {"!junk", true, true, "secret", answer{StoreHash: made}},
		"not the OS's":            {other, true, false, "another", answer{NotProven: true}},
	} {
		t.Run(name, func(t *testing.T) {
			q := question{OSHash: os, Target: Target{Scheme: django, Like: tc.like, Cost: 1000}, Fit: tc.fit, Make: tc.make}
			got, err := solve(q, []byte(tc.given))
			if err != nil {
				t.Fatal(err)
			}
			if tc.want.StoreHash == made {
				checkMade(t, got.StoreHash, tc.like)
				got.StoreHash = made
			}
			if got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
	long := strings.Repeat("x", 73)
	q := question{OSHash: osHash(t, long), Target: Target{Scheme: "bcrypt"}, Make: true}
	if got, err := solve(q, []byte(long)); err != nil || got != (answer{Refused: "longer than 72 bytes"}) {
		t.Errorf("too long for bcrypt: %+v, %v", got, err)
	}
	q = question{OSHash: os, Target: Target{Scheme: django, Like: "!junk"}, Fit: true}
	if got, err := solve(q, []byte("secret")); !errors.Is(err, scheme.ErrOther) || got != (answer{}) {
		t.Errorf("whether junk differs: %+v, %v", got, err)
	}
}

const made = "made"

func checkMade(t *testing.T, value, like string) {
	t.Helper()
	s, err := scheme.Find(django)
	if err != nil {
		t.Fatal(err)
	}
	ok, err := s.Verify(value, []byte("secret"), "")
	iterations := "$1000$" // the configured ones
	if _, err := s.Verify(like, []byte("x"), ""); err == nil {
		iterations = "$1234$"
	}
	if err != nil || !ok || value == like || !strings.Contains(value, iterations) {
		t.Errorf("made %q from %q: %v, %v", value, like, ok, err)
	}
}

// TestTurns: two hashes at once, one of the big ones, and none is held up by the end of a wait.
func TestTurns(t *testing.T) {
	small := Target{Scheme: django}
	large := Target{Scheme: "gitea", Like: scheme.Join("scrypt$65536$16$2$50", strings.Repeat("ab", 16), strings.Repeat("ab", 50))}
	if hundred := (Target{Scheme: "django-argon2"}); hundred.price().Memory <= bigMemory { // 100 MiB
		t.Errorf("Django's takes %+v", hundred.price())
	}
	if large.price().Memory <= bigMemory || small.price().Memory > bigMemory {
		t.Fatalf("the prices are %+v and %+v", large.price(), small.price())
	}
	take := func(target Target) func() {
		t.Helper()
		done, err := target.Turn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return done
	}
	refused := func(target Target) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if _, err := target.Turn(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("its turn came: %v", err)
		}
	}
	first := take(large)
	refused(large)
	second := take(small)
	refused(small)
	take(Target{Formats: shadowsync.Formats{"$6$"}})() // crypt(3) waits for nobody
	second()
	refused(large)
	first()
	first, second = take(large), take(small)
	first()
	second()
}
