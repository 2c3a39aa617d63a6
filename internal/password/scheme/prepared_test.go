package scheme

import "testing"

// What PostgreSQL makes of a password before it hashes it: the examples of RFC 4013, and where
// pg_saslprep differs from other libraries.
func TestPrepared(t *testing.T) {
	for _, tc := range []struct{ name, secret, want string }{
		{"soft hyphen", "I\u00adX", "IX"},
		{"ASCII", "user", "user"},
		{"case", "USER", "USER"},
		{"ordinal", "\u00aa", "a"},
		{"Roman numeral", "\u2168", "IX"},
		{"a control character in ASCII is left alone", "\x07", "\x07"},
		{"a control character beyond ASCII is prohibited", "\u0085x", "\u0085x"},
		{"bidirectional", "\u0627\u0031", "\u0627\u0031"},
		{"right to left", "\u0627\u0031\u0628", "\u0627\u0031\u0628"},
		{"no-break space", "a\u00a0b", "a b"},
		{"zero width space: a space, not nothing", "a\u200bb", "a b"},
		{"composed", "e\u0301", "\u00e9"},
		{"compatible", "\ufb01", "fi"},
		{"unassigned in Unicode 3.2", "\u00e9\U0001f600", "\u00e9\U0001f600"},
		{"unassigned, though it normalises to what is not", "\U0001f100", "\U0001f100"},
		{"nothing left", "\u00ad", "\u00ad"},
		{"no UTF-8", "\xff\u00ad", "\xff\u00ad"},
	} {
		if got := prepared([]byte(tc.secret)); got != tc.want {
			t.Errorf("%s: %q is %q, want %q", tc.name, tc.secret, got, tc.want)
		}
	}
}
