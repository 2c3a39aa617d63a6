package scheme

import (
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/shadowsync/shadowsync/internal/password/crypt"
	"github.com/shadowsync/shadowsync/internal/password/crypt/format"
)

// usualBcrypt is the default cost: 0.2 to 0.3 s. passlib, Django and PHP 8.4 make it.
const usualBcrypt = 12

// bcrypt is a form whose new values have this variant, "$2a$", "$2b$" or "$2y$", and this cost. The
// variant of a present value is kept: jBCrypt knows "$2a$" alone, PHP's password_get_info "$2y$"
// alone. All three name the same computation; "$2x$" names another one and is refused.
func bcrypt(variant string, usual int) form {
	return form{
		limit: limit{bytes: crypt.Longest(format.Bcrypt)},
		parse: func(value string) (setting, []byte, bool) {
			h, err := format.Parse(value)
			if err != nil || h.Format != format.Bcrypt || !strings.ContainsRune(bcryptLast, rune(h.Setting[len(h.Setting)-1])) {
				return nil, nil, false
			}
			return bcryptSetting{h.Setting[:4], h.Cost.Log2, h.Setting[7:]}, []byte(h.Checksum), true
		},
		fresh: func(cost int) (setting, error) {
			log2, err := within(cost, usual, 4, maxLog2)
			return bcryptSetting{variant: variant, log2: log2}.renew(), err
		},
	}
}

type bcryptSetting struct {
	variant string
	log2    int
	salt    string // 22 characters
}

// bcryptLast are the last characters of salts that bcrypt implementations make: 22 characters hold four bits more than
// the 16 bytes. Where these are set, applications differ in whether the hash fits any password.
const bcryptLast = ".Oeu"

var bcrypt64 = base64.NewEncoding("./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789").WithPadding(base64.NoPadding)

func (s bcryptSetting) renew() setting {
	s.salt = bcrypt64.EncodeToString(randomBytes(16))
	return s
}

// digest always computes "$2b$": libxcrypt changes the result of "$2a$" for some passwords that no
// UTF-8 text is, and applications do not.
func (s bcryptSetting) digest(secret []byte, _ string) ([]byte, error) {
	setting := fmt.Sprintf("$2b$%02d$%s", s.log2, s.salt)
	hash, err := crypt.Compute(setting, secret)
	return []byte(strings.TrimPrefix(hash, setting)), err
}

func (s bcryptSetting) encode(digest []byte) string {
	return fmt.Sprintf("%s%02d$%s%s", s.variant, s.log2, s.salt, digest)
}

func (s bcryptSetting) cost() format.Cost { return format.Cost{Log2: s.log2} }

// crypt3 is a hash of crypt(3), or Apache's apr1, of one of these formats; bcrypt is a form of its
// own. A present hash's format is kept, and its number of rounds; the other formats get the default
// cost.
func crypt3(formats ...format.Format) form {
	return form{
		parse: func(value string) (setting, []byte, bool) {
			h, err := format.Parse(value)
			if err != nil || !slices.Contains(formats, h.Format) {
				return nil, nil, false
			}
			return cryptSetting{method: crypt.Method{Format: h.Format, Cost: h.Cost.Rounds}, setting: h.Setting, price: h.Cost}, []byte(value), true
		},
		fresh: func(cost int) (setting, error) {
			s := cryptSetting{method: crypt.Method{Format: formats[0], Cost: cost}}.fresh()
			return s, s.err
		},
	}
}

type cryptSetting struct {
	method  crypt.Method
	setting string
	price   format.Cost
	err     error // why there is no setting
}

func (s cryptSetting) fresh() cryptSetting {
	s.setting, s.err = s.method.NewSetting()
	s.price = s.method.Price()
	return s
}

func (s cryptSetting) renew() setting { return s.fresh() }

// digest is the whole hash.
func (s cryptSetting) digest(secret []byte, _ string) ([]byte, error) {
	if s.err != nil {
		return nil, s.err
	}
	hash, err := crypt.Compute(s.setting, secret)
	return []byte(hash), err
}

func (s cryptSetting) encode(digest []byte) string { return string(digest) }
func (s cryptSetting) cost() format.Cost           { return s.price }

// The formats of crypt(3) that are made, and those that are only read.
var (
	strong = []format.Format{format.SHA512, format.SHA256, format.Yescrypt, format.GostYescrypt, format.Scrypt}
	weak   = []format.Format{format.MD5, format.DES}
)

// htpasswdForms are what nginx and Apache read. New accounts get bcrypt at cost 10: the server
// computes it at each request.
func htpasswdForms() []form {
	return []form{
		bcrypt("$2y$", 10), crypt3(format.APR1), crypt3(strong...),
		readOnly(crypt3(weak...)), readOnly(ldap("{SHA}", sha1.New, 0)),
	}
}

// ldapCryptForms are "{CRYPT}" and a hash of crypt(3). Dovecot also names the format.
func ldapCryptForms() []form {
	within := func(name string, f form) form {
		return wrapped(f, func(value string) (string, bool) { return cutFold(value, name) },
			func(value string) string { return name + value })
	}
	return []form{
		within("{CRYPT}", crypt3(strong...)), within("{CRYPT}", bcrypt("$2y$", usualBcrypt)), readOnly(within("{CRYPT}", crypt3(weak...))),
		within("{SHA512-CRYPT}", crypt3(format.SHA512)), within("{SHA256-CRYPT}", crypt3(format.SHA256)),
		within("{BLF-CRYPT}", bcrypt("$2y$", usualBcrypt)), readOnly(within("{MD5-CRYPT}", crypt3(format.MD5))),
	}
}
