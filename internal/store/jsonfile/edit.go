package jsonfile

import (
	"unicode/utf8"

	"github.com/shadowsync/shadowsync/internal/store/textfile"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// fields are what one string can hold.
const fields = shadowsync.FieldHash | shadowsync.FieldLocked

// maxPassword is the greatest length of a password field, in bytes as written in the file. crypt(3)
// returns less than 400.
const maxPassword = 4096

// Spell implements textfile.Format.
func (l layout) Spell(_ textfile.Record, value string) (string, error) {
	if !utf8.ValidString(value) {
		return "", &shadowsync.RefusedError{Reason: "the password field is not UTF-8"}
	}
	text := appendQuoted(nil, value)
	if len(text) > maxPassword {
		return "", &shadowsync.RefusedError{Reason: "the password field is too long"}
	}
	return string(text), nil
}
