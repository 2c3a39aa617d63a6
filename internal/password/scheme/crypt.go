package scheme

import (
	"encoding/base64"
	"fmt"
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
			if err != nil || h.Format != format.Bcrypt {
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
