package proof

import (
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/password/crypt"
	"github.com/shadowsync/shadowsync/internal/password/crypt/format"
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
			os, err := crypt.Generate(format.SHA512, []byte(tc.secret))
			if err != nil {
				t.Fatal(err)
			}
			if tc.given == "" {
				tc.given = tc.secret
			}
			got, err := solve(question{OSHash: os, Formats: tc.formats}, []byte(tc.given))
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
	if _, err := Hash(shadowsync.Formats{"$sha1$"}, []byte("secret")); err == nil {
		t.Error("a hash was made that nobody can make")
	}
}
