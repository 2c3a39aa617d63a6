package scheme

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/shadowsync/shadowsync/internal/password/crypt"
	"github.com/shadowsync/shadowsync/internal/password/crypt/format"
)

// Gitea and Forgejo keep three columns: the algorithm with its parameters, the salt, the digest in
// hex. A bare name in the first column has the parameters from before they were kept, and an empty
// one is "pbkdf2". New values spell the parameters out. The salt is 16 bytes in hex; in old
// accounts it is 10 bytes as they stand. The application verifies each account by its own
// algorithm, so that of the present value is kept.

// giteaLogin is the longest password, in characters, that Gitea's login page takes.
const giteaLogin = 255

var giteaLimit = limit{runes: giteaLogin, text: true}

// giteaForms are Gitea's algorithms; new accounts get its default, pbkdf2$50000$50.
func giteaForms() []form {
	pattern, length, _ := giteaPBKDF2("50000$50")
	pattern.length, pattern.salt = length, make([]byte, defaultSalt)
	usual := freshPBKDF2(pattern)
	return []form{
		giteaForm("pbkdf2", usual, giteaPBKDF2),
		giteaForm("argon2", usual, giteaArgon2),
		giteaForm("scrypt", usual, giteaScrypt),
		giteaBcrypt(usual),
	}
}

// salted is a setting whose salt stands in another column.
type salted[S any] interface {
	setting
	withSalt(salt []byte) S
	sound(digest []byte) (setting, []byte, bool)
}

// giteaForm is the form of one algorithm. read reads its parameters, and the length of the digest.
func giteaForm[S salted[S]](algorithm string, fresh fresh, read func(parameters string) (s S, length int, ok bool)) form {
	return form{
		limit: giteaLimit,
		fresh: fresh,
		parse: func(value string) (setting, []byte, bool) {
			parameters, columns, ok := giteaColumns(value, algorithm)
			if !ok {
				return nil, nil, false
			}
			s, length, ok := read(parameters)
			salt, saltOK := giteaSalt(columns[1])
			digest, whole := lowerHex(columns[2])
			if !ok || !saltOK || !whole || len(digest) != length {
				return nil, nil, false
			}
			return s.withSalt(salt).sound(digest)
		},
	}
}

// giteaColumns returns the columns of a value, and the parameters in the first.
func giteaColumns(value, algorithm string) (parameters string, columns []string, ok bool) {
	columns, ok = Split(value, 3)
	if !ok {
		return "", nil, false
	}
	name, parameters, _ := strings.Cut(columns[0], "$")
	return parameters, columns, name == algorithm || columns[0] == "" && algorithm == "pbkdf2"
}

func giteaSalt(column string) ([]byte, bool) {
	if len(column) == 10 {
		return []byte(column), true
	}
	salt, err := hex.DecodeString(column)
	return salt, err == nil && len(salt) > 0 && len(salt) <= maxSalt
}

func giteaValue(algorithm string, salt, digest []byte) string {
	return Join(algorithm, hex.EncodeToString(salt), hex.EncodeToString(digest))
}

func giteaPBKDF2(parameters string) (pbkdf2Setting, int, bool) {
	if parameters == "" {
		parameters = "10000$50"
	}
	n, ok := numbers(parameters, 2)
	if !ok {
		return pbkdf2Setting{}, 0, false
	}
	s := pbkdf2Setting{hash: sha256.New, iterations: n[0]}
	s.spell = func(s pbkdf2Setting, digest []byte) string {
		return giteaValue(fmt.Sprintf("pbkdf2$%d$%d", s.iterations, s.length), s.salt, digest)
	}
	return s, n[1], true
}

func giteaArgon2(parameters string) (argon2Setting, int, bool) {
	if parameters == "" {
		parameters = "2$65536$8$50"
	}
	n, ok := numbers(parameters, 4)
	if !ok {
		return argon2Setting{}, 0, false
	}
	s := argon2Setting{variant: argon2id, passes: n[0], memory: n[1], lanes: n[2]}
	s.spell = func(s argon2Setting, digest []byte) string {
		return giteaValue(fmt.Sprintf("argon2$%d$%d$%d$%d", s.passes, s.memory, s.lanes, s.length), s.salt, digest)
	}
	return s, n[3], true
}

func giteaScrypt(parameters string) (scryptSetting, int, bool) {
	if parameters == "" {
		parameters = "65536$16$2$50"
	}
	n, ok := numbers(parameters, 4)
	if !ok {
		return scryptSetting{}, 0, false
	}
	s := scryptSetting{n: n[0], r: n[1], p: n[2]}
	s.spell = func(s scryptSetting, digest []byte) string {
		return giteaValue(fmt.Sprintf("scrypt$%d$%d$%d$%d", s.n, s.r, s.p, s.length), s.salt, digest)
	}
	return s, n[3], true
}

// giteaBcrypt is bcrypt in the third column, with a salt of its own. Gitea fills the column of the
// salt all the same.
func giteaBcrypt(fresh fresh) form {
	inner := bcrypt("$2a$", 10)
	longest := giteaLimit
	longest.bytes = crypt.Longest(format.Bcrypt)
	return form{
		limit: longest,
		fresh: fresh,
		parse: func(value string) (setting, []byte, bool) {
			parameters, columns, ok := giteaColumns(value, "bcrypt")
			if !ok {
				return nil, nil, false
			}
			if _, ok := number(parameters); !ok && parameters != "" {
				return nil, nil, false
			}
			s, digest, ok := inner.parse(columns[2])
			return giteaBcryptSetting{s, columns[1]}, digest, ok
		},
	}
}

type giteaBcryptSetting struct {
	setting
	salt string // of the column; not used
}

// encode names the cost that the hash has: after Gitea's own was changed, the column of an account
// may say another.
func (s giteaBcryptSetting) encode(digest []byte) string {
	return Join("bcrypt$"+strconv.Itoa(s.setting.cost().Log2), s.salt, s.setting.encode(digest))
}

func (s giteaBcryptSetting) renew() setting {
	return giteaBcryptSetting{s.setting.renew(), hex.EncodeToString(randomBytes(defaultSalt))}
}
