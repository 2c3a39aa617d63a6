package totp

import (
	"bytes"
	"encoding/base32"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Secrets of other origin have 128 bits at least, which RFC 4226 demands (R6), and at most the 64
// bytes of a block of SHA-1: HMAC would shorten a longer one.
const (
	leastSecret = 16
	mostSecret  = 64
)

// group is how many characters of a setup key stand together.
const group = 4

var encoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// SetupKey returns the secret as people type it into an app: base32 (RFC 4648) in groups of four.
func SetupKey(secret []byte) string {
	return string(bytes.Join(slices.Collect(slices.Chunk(encoding.AppendEncode(nil, secret), group)), []byte(" ")))
}

// ParseSetupKey returns the secret of a typed setup key, in either case, with or without spaces,
// dashes and padding. No error shows a part of the key.
func ParseSetupKey(typed []byte) ([]byte, error) {
	if len(typed) > 4*mostSecret {
		return nil, errors.New("the setup key is too long")
	}
	key := make([]byte, 0, len(typed))
	for _, c := range bytes.TrimRight(typed, "= ") {
		if c != ' ' && c != '-' {
			key = append(key, c)
		}
	}
	defer clear(key)
	for at, c := range key {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
			key[at] = c
		}
		if (c < 'A' || c > 'Z') && (c < '2' || c > '7') {
			return nil, fmt.Errorf("character %d of the setup key is neither a letter nor a digit from 2 to 7", at+1)
		}
	}
	// The decoder ignores such a last character.
	if rest := len(key) % 8; rest == 1 || rest == 3 || rest == 6 {
		return nil, fmt.Errorf("a setup key cannot have %d characters: one is missing or too many", len(key))
	}
	secret, err := encoding.AppendDecode(nil, key)
	if err != nil {
		return nil, errors.New("the setup key is not base32")
	}
	if err := CheckSize(secret); err != nil {
		return nil, err
	}
	return secret, nil
}

// CheckSize returns an error for a secret that is shorter or longer than is accepted.
func CheckSize(secret []byte) error {
	switch bits := len(secret) * 8; {
	case len(secret) < leastSecret:
		return fmt.Errorf("the secret has only %d bits, at least %d are needed (RFC 4226)", bits, leastSecret*8)
	case len(secret) > mostSecret:
		return fmt.Errorf("the secret has %d bits, more than %d", bits, mostSecret*8)
	}
	return nil
}

// Address returns the otpauth address that an app reads from a QR code. Algorithm, digits and
// period are left out: ours are every app's defaults, and without them the QR code of a usual name
// fits on a terminal of 24 lines.
func Address(issuer, account string, secret []byte) string {
	issuer = plain(issuer)
	address := "otpauth://totp/" + escape(plain(account))
	if issuer != "" {
		address = "otpauth://totp/" + escape(issuer) + ":" + escape(plain(account))
	}
	address += "?secret=" + encoding.EncodeToString(secret)
	if issuer != "" {
		address += "&issuer=" + escape(issuer)
	}
	return address
}

// plain replaces the colon, which separates issuer and account in the label even where it is
// escaped.
func plain(name string) string { return strings.ReplaceAll(name, ":", "-") }

// escape is stricter than url.PathEscape, which leaves "&" and "=" as they are, and writes a space
// as "%20": apps show the "+" of url.QueryEscape.
func escape(name string) string { return strings.ReplaceAll(url.QueryEscape(name), "+", "%20") }
