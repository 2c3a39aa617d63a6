package policy

import (
	"testing"

	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// TestReview: the present password does not count as used before, and if the token is no longer the
// present password, the history does not apply.
func TestReview(t *testing.T) {
	former := shadowsync.Credential{Hash: hash(t, "former")}
	record := shadowsync.Record{{Baseline: shadowsync.Baseline{OS: shadowsync.Credential{Hash: hash(t, "before")}}}}
	rules := Rules{MinLength: 5, History: 3}
	for name, tc := range map[string]struct {
		rules          Rules
		token, present string
		want           bool
	}{
		"good":                {rules, "another", "another", false},
		"short":               {rules, "abc", "abc", true},
		"the former":          {rules, "former", "former", true},
		"one before it":       {rules, "before", "before", true},
		"overtaken meanwhile": {rules, "before", "another", false},
		"no rules":            {Rules{}, "abc", "abc", false},
	} {
		t.Run(name, func(t *testing.T) {
			token, err := socket.SealedMemfd([]byte(tc.token))
			if err != nil {
				t.Fatal(err)
			}
			defer token.Close()
			about := Review{Account: "admin", Present: hash(t, tc.present), Former: former, Record: record}
			if got, err := tc.rules.Review(t.Context(), token, about); err != nil || got != (Broken{Configuration: tc.want}) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

// TestReviewByTheMachine: the stack's refusal counts as the machine's, and a stack that cannot be
// asked is an error.
func TestReviewByTheMachine(t *testing.T) {
	for line, want := range map[string]bool{"password requisite pam_deny.so": true, "password requisite pam_permit.so": false} {
		dir, err := writeStack(t.TempDir(), line)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := (reviewQuestion{Account: "root", Stack: dir}).answer([]byte("a token")); err != nil || got != (Broken{Machine: want}) {
			t.Errorf("%s: %+v, %v", line, got, err)
		}
	}
	if got, err := (reviewQuestion{Account: "root", Stack: t.TempDir()}).answer([]byte("a token")); err == nil {
		t.Errorf("without a stack: %+v", got)
	}
}
