package scheme

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/shadowsync/shadowsync/internal/password/crypt/format"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// WordPress 6.8 keeps "$wp" and bcrypt of an HMAC of the password. It still takes the phpass hashes
// of older versions, MD5, and what PHP's password_hash makes.
//
// What it hashes is not what was typed. At every login and change it puts a backslash before each
// quote, double quote and backslash (wp_magic_quotes of wp-includes/load.php), and then takes white
// space off both ends. It refuses a backslash in a new password and more than 4096 bytes.

func wordpressForms() []form {
	limit := limit{text: true, also: checkWordPress}
	cut := func(value string) (string, bool) { return strings.CutPrefix(value, "$wp") }
	add := func(value string) string { return "$wp" + value }
	own := wrapped(prehashed(bcrypt("$2y$", 10), limit, wordpressHMAC), cut, add)
	forms := []form{prehashed(own, limit, wordpressInput)}
	for _, old := range []form{phpass(), md5Hex(), bcrypt("$2y$", 10), phpArgon2(argon2id)} {
		old.limit.also = checkWordPress
		forms = append(forms, readOnly(prehashed(old, old.limit, wordpressInput)))
	}
	return forms
}

func checkWordPress(secret []byte) error {
	switch {
	case len(wordpressInput(secret)) == 0:
		return &shadowsync.RefusedError{Reason: "nothing but white space"}
	case bytes.IndexByte(secret, '\\') >= 0:
		return &shadowsync.RefusedError{Reason: "contains a backslash"}
	}
	return nil
}

var slashes = strings.NewReplacer(`\`, `\\`, `'`, `\'`, `"`, `\"`)

// wordpressInput returns what WordPress hashes of a typed password.
func wordpressInput(secret []byte) []byte {
	return []byte(slashes.Replace(string(bytes.Trim(secret, " \t\n\r\x00\v"))))
}

func wordpressHMAC(secret []byte) []byte {
	h := hmac.New(sha512.New384, []byte("wp-sha384"))
	h.Write(secret)
	return []byte(base64.StdEncoding.EncodeToString(h.Sum(nil)))
}

// phpass is the portable hash of phpass: "$P$", the logarithm of the rounds, eight characters of
// salt, and MD5 over and over.
func phpass() form {
	return form{parse: func(value string) (setting, []byte, bool) {
		if len(value) != 34 || !strings.HasPrefix(value, "$P$") && !strings.HasPrefix(value, "$H$") {
			return nil, nil, false
		}
		log2 := strings.IndexByte(itoa64, value[3])
		return phpassSetting{log2, value[:12]}, []byte(value[12:]), log2 >= 7 && log2 <= 30
	}}
}

type phpassSetting struct {
	log2  int
	begin string // of the value, with the salt in its last eight bytes
}

const itoa64 = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

func (s phpassSetting) digest(secret []byte, _ string) ([]byte, error) {
	sum := md5.Sum(append([]byte(s.begin[4:]), secret...))
	block := make([]byte, 0, md5.Size+len(secret))
	for range 1 << s.log2 {
		block = append(append(block[:0], sum[:]...), secret...)
		sum = md5.Sum(block)
	}
	return phpass64(sum[:]), nil
}

// phpass64 is crypt(3)'s base 64: three bytes at a time, the first one lowest, and the lowest six
// bits first.
func phpass64(b []byte) []byte {
	var out []byte
	for ; len(b) > 0; b = b[min(3, len(b)):] {
		group := b[:min(3, len(b))]
		n := 0
		for i, c := range group {
			n |= int(c) << (8 * i)
		}
		for i := range len(group) + 1 {
			out = append(out, itoa64[n>>(6*i)&63])
		}
	}
	return out
}

func (s phpassSetting) encode(digest []byte) string { return s.begin + string(digest) }
func (s phpassSetting) renew() setting              { return s }
func (s phpassSetting) cost() format.Cost           { return format.Cost{Rounds: 1 << s.log2} }

// md5Hex is MD5 in hex, of WordPress before 2.5, and of administrators who follow old advice.
func md5Hex() form {
	s := plain{
		sum:   func(secret []byte) []byte { sum := md5.Sum(secret); return sum[:] },
		spell: hex.EncodeToString,
	}
	return form{parse: func(value string) (setting, []byte, bool) {
		digest, whole := lowerHex(value)
		return s, digest, whole && len(digest) == md5.Size
	}}
}
