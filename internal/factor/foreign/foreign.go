// Package foreign reads the second factors of other PAM modules, so that people can keep what is in
// their app: the file .google_authenticator of pam_google_authenticator(8), and the file of
// pam_oath(8), usually /etc/users.oath. Only what this program computes too is taken: time-based codes
// of six digits in steps of 30 seconds. Errors name the line, and never show a secret.
//
// What else such a file has cannot be carried over: scratch codes have the form of our mailed codes,
// and windows, limits and corrections of the clock are not set per account here.
//
//	foreign.go  the factor, and which of the two kinds a file is
//	google.go   .google_authenticator
//	oath.go     users.oath
package foreign

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// largest is how many bytes a file may have: the limit of pam_google_authenticator, and enough
// for the lines of 500 accounts of pam_oath.
const largest = 64 << 10

// A Factor is what a file holds for one account.
type Factor struct {
	// Secret is for the caller to clear.
	Secret []byte
	// NotTaken names what the file says that is not carried over, for people to read.
	NotTaken []string
}

// Read reads the factor of an account from a file of either kind. A .google_authenticator holds
// only one account, which it does not name.
func Read(file io.Reader, account string) (Factor, error) {
	content, err := io.ReadAll(io.LimitReader(file, largest+1))
	defer clear(content)
	switch {
	case err != nil:
		return Factor{}, fmt.Errorf("cannot read the file: %w", err)
	case len(content) > largest:
		return Factor{}, fmt.Errorf("the file is larger than %d KiB", largest>>10)
	case bytes.IndexByte(content, 0) >= 0:
		return Factor{}, errors.New("the file is not a text")
	case isOath(content):
		return oath(content, account)
	}
	return google(content)
}

// at returns an error about the line with the index i.
func at(i int, format string, values ...any) error {
	return fmt.Errorf("line %d: %s", i+1, fmt.Sprintf(format, values...))
}

// lines splits the content; an empty last line is none.
func lines(content []byte) [][]byte {
	return bytes.Split(bytes.TrimSuffix(content, []byte("\n")), []byte("\n"))
}

// isNumber reports whether text has digits alone.
func isNumber(text string) bool { return text != "" && strings.Trim(text, "0123456789") == "" }
