package foreign

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/shadowsync/shadowsync/internal/factor/totp"
	"github.com/shadowsync/shadowsync/internal/term/plural"
	"github.com/shadowsync/shadowsync/internal/term/printable"
)

// isOath tells the two kinds of files apart by the first line that has content: the secret of a
// .google_authenticator is one word without a slash, and a line of a users.oath has several words.
func isOath(content []byte) bool {
	for line := range bytes.Lines(content) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			return line[0] == '#' || bytes.ContainsAny(line, "\t/") || len(bytes.Fields(line)) > 1 && bytes.HasPrefix(line, []byte("HOTP"))
		}
	}
	return false
}

// oath reads the line of an account in a users.oath: type, name, PIN, secret in hexadecimal, and
// what pam_oath remembers of the last code (usersfile of liboath).
func oath(content []byte, account string) (factor Factor, err error) {
	found := -1
	for i, line := range lines(content) {
		fields := bytes.Fields(line)
		if len(fields) == 0 || fields[0][0] == '#' || len(fields) > 1 && string(fields[1]) != account {
			continue
		}
		if len(fields) < 4 {
			return Factor{}, at(i, "it has %s; type, name, PIN and secret are needed", plural.Count(len(fields), "field"))
		}
		if found >= 0 {
			clear(factor.Secret)
			return Factor{}, at(i, "the account has a second line here, after line %d; only one can be taken over", found+1)
		}
		if factor.Secret, err = readFields(i, string(fields[0]), string(fields[2]), fields[3]); err != nil {
			return Factor{}, err
		}
		found = i
	}
	if found < 0 {
		return Factor{}, fmt.Errorf("the file has no line for the account %s", printable.Quote(account))
	}
	return factor, nil
}

// readFields returns the secret of the line with the index i.
func readFields(i int, kind, pin string, secret []byte) ([]byte, error) {
	switch {
	case kind == "HOTP/T30" || kind == "HOTP/T30/6":
	case kind == "HOTP" || strings.HasPrefix(kind, "HOTP/E"):
		return nil, at(i, "the codes are counter-based (%s); only time-based ones can be taken over", printable.Clip(kind, 40))
	default:
		return nil, at(i, "the type %s is not HOTP/T30 or HOTP/T30/6", printable.Clip(kind, 40))
	}
	// "-" is no PIN, "+" one that is checked elsewhere.
	if pin != "-" && pin != "+" {
		return nil, at(i, "the account has a PIN, which has no counterpart here; write - in its place")
	}
	decoded := make([]byte, hex.DecodedLen(len(secret)))
	if _, err := hex.Decode(decoded, secret); err != nil {
		clear(decoded)
		return nil, at(i, "the secret is not hexadecimal")
	}
	if err := totp.CheckSize(decoded); err != nil {
		clear(decoded)
		return nil, at(i, "%v", err)
	}
	return decoded, nil
}
