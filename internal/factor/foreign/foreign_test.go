package foreign

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

const (
	key       = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
	inHex     = "3132333435363738393031323334353637383930"
	secret    = "12345678901234567890"
	googleAll = key + `
" RATE_LIMIT 3 30 1790000000
" WINDOW_SIZE 17
" DISALLOW_REUSE 59666666 59666667
" TOTP_AUTH
" STEP_SIZE 30
" TIME_SKEW -3
" RESETTING_TIME_SKEW 59666666+1
" LAST0 10.0.0.1 1790000000
47610002
73500417
`
)

func TestRead(t *testing.T) {
	for _, tt := range []struct {
		name, file string
		notTaken   []string
	}{
		{"the smallest of Google", key + "\n\" TOTP_AUTH\n", nil},
		{"without a newline at its end", key + "\n\" TOTP_AUTH", nil},
		{"lower case", strings.ToLower(key) + "\n\" TOTP_AUTH\n", nil},
		{"defaults of Google", key + "\n\" RATE_LIMIT 3 30\n\" WINDOW_SIZE 3\n\" TIME_SKEW 0\n\" TOTP_AUTH\n", nil},
		{"one scratch code", key + "\n\" TOTP_AUTH\n12345678\n", []string{"1 scratch code"}},
		{"everything of Google", googleAll, []string{"WINDOW_SIZE 17", "TIME_SKEW -3", "2 scratch codes"}},
		{"one line of oath", "HOTP/T30/6 admin - " + inHex + "\n", nil},
		{"the short type", "HOTP/T30\tadmin\t+\t" + inHex, nil},
		{"used, among others", "# tokens\n\nHOTP\tother\t-\t00\nHOTP/T30 admin - " + inHex + "\t0\t328482\t2026-11-01T10:00:00L\nHOTP/T60 another 1234 xyz\n", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			factor, err := Read(strings.NewReader(tt.file), "admin")
			if err != nil || string(factor.Secret) != secret || !slices.Equal(factor.NotTaken, tt.notTaken) {
				t.Errorf("%q, not taken %q, %v", factor.Secret, factor.NotTaken, err)
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	line := "HOTP/T30 admin - " + inHex + "\n"
	for _, tt := range []struct{ name, file, want string }{
		{"nothing", "", "line 1: the secret has only 0 bits"},
		{"another text", "Dear admin,\nyour password\n", "line 2: it is neither"},
		{"a binary file", key + "\x00", "not a text"},
		{"too large", key + "\n\" TOTP_AUTH\n" + strings.Repeat("12345678\n", 8000), "larger than 64 KiB"},
		{"a counter", key + "\n\" HOTP_COUNTER 1\n", "line 2: the codes are counter-based (HOTP_COUNTER)"},
		{"a counter below the other", key + "\n\" TOTP_AUTH\n\" HOTP_COUNTER 1\n", "line 3: the codes are counter-based"},
		{"another step", key + "\n\" TOTP_AUTH\n\" STEP_SIZE 60\n", "line 3: the codes change at another interval"},
		{"neither kind of code", key + "\n\" RATE_LIMIT 3 30\n", "line 2: the file ends without the option TOTP_AUTH"},
		{"an unknown option", key + "\n\" TOTP_AUTH\n\" FOO\x1b[31m 1\n", `line 3: the option FOO\x1b[31m is not known`},
		{"a host without a number", key + "\n\" TOTP_AUTH\n\" LAST10 a 1\n", "line 3: the option LAST10 is not known"},
		{"a skew that is no number", key + "\n\" TOTP_AUTH\n\" TIME_SKEW \x1b[2J\n", "line 3: the value of TIME_SKEW is not a number"},
		{"a window that is no number", key + "\n\" TOTP_AUTH\n\" WINDOW_SIZE\n", "line 3: the value of WINDOW_SIZE is not a number"},
		{"an empty line within", key + "\n\n\" TOTP_AUTH\n", "line 2: it is neither"},
		{"a scratch code of seven digits", key + "\n\" TOTP_AUTH\n1234567\n", "line 3: it is neither"},
		{"80 bits", key[:16] + "\n\" TOTP_AUTH\n", "line 1: the secret has only 80 bits"},
		{"no base32", key[:31] + "1\n\" TOTP_AUTH\n", "line 1: character 32 of the setup key"},

		{"no line of the account", strings.Replace(line, "admin", "admin2", 1), "no line for the account admin"},
		{"comments only", "# HOTP/T30 admin - " + inHex + "\n", "no line for the account admin"},
		{"two lines", line + "# \n" + line, "line 3: the account has a second line here, after line 1"},
		{"events", "HOTP admin - " + inHex, "line 1: the codes are counter-based (HOTP)"},
		{"events with digits", "\nHOTP/E/6 admin - " + inHex, "line 2: the codes are counter-based (HOTP/E/6)"},
		{"another period", "HOTP/T60 admin - " + inHex, "line 1: the type HOTP/T60 is not"},
		{"eight digits", "HOTP/T30/8 admin - " + inHex, "line 1: the type HOTP/T30/8 is not"},
		{"an unknown type", "HOTP/\x1bT30 admin - " + inHex, `line 1: the type HOTP/\x1bT30 is not`},
		{"a PIN", "HOTP/T30 admin 1234 " + inHex, "line 1: the account has a PIN"},
		{"no secret", "HOTP/T30 admin -", "line 1: it has 3 fields"},
		{"one word", "HOTP/T30", "line 1: it has 1 field;"},
		{"no hexadecimal", "HOTP/T30 admin - " + inHex[1:] + "g", "line 1: the secret is not hexadecimal"},
		{"an odd number of digits", "HOTP/T30 admin - " + inHex + "0", "line 1: the secret is not hexadecimal"},
		{"one byte", "HOTP/T30 admin - 00", "line 1: the secret has only 8 bits"},
		{"65 bytes", "HOTP/T30 admin - " + strings.Repeat("00", 65), "line 1: the secret has 520 bits"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			factor, err := Read(strings.NewReader(tt.file), "admin")
			if err == nil || !strings.Contains(err.Error(), tt.want) || factor.Secret != nil {
				t.Fatalf("%q, %v, want %q", factor.Secret, err, tt.want)
			}
			if strings.Contains(err.Error(), key[:8]) || strings.Contains(err.Error(), inHex[:8]) {
				t.Errorf("the error shows the secret: %v", err)
			}
		})
	}
}

func TestReadTellsOfAFailedRead(t *testing.T) {
	broken := errors.New("input/output error")
	if _, err := Read(iotest.ErrReader(broken), "admin"); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

// FuzzRead asserts what holds for every file: no crash, a secret of an accepted size or none, and
// nothing to show that a terminal would interpret.
func FuzzRead(f *testing.F) {
	f.Add([]byte(googleAll))
	f.Add([]byte("HOTP/T30/6 admin - " + inHex + "\n# \nHOTP other - 00\n"))
	f.Add([]byte("\" \n\n#\n/"))
	f.Fuzz(func(t *testing.T, file []byte) {
		given := bytes.Clone(file)
		factor, err := Read(bytes.NewReader(file), "admin")
		if !bytes.Equal(given, file) {
			t.Error("the input was changed")
		}
		if size := len(factor.Secret); err == nil && (size < 16 || size > 64) || err != nil && size != 0 {
			t.Errorf("a secret of %d bytes, %v", size, err)
		}
		shown := strings.Join(factor.NotTaken, "")
		if err != nil {
			shown += err.Error()
		}
		if strings.ContainsFunc(shown, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }) {
			t.Errorf("%q", shown)
		}
	})
}
