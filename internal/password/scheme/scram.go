package scheme

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/xdg-go/stringprep"
	"golang.org/x/text/unicode/norm"

	"github.com/shadowsync/shadowsync/internal/password/crypt/format"
)

// usualSCRAM is PostgreSQL's number of iterations. The client computes them at each connection.
const usualSCRAM = 4096

// scramSetting is the verifier of SCRAM-SHA-256 (RFC 5802, RFC 7677) as PostgreSQL keeps it:
// "SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY". Its digest is both keys.
type scramSetting struct {
	iterations int
	salt       []byte
}

func (s scramSetting) digest(secret []byte, _ string) ([]byte, error) {
	key, err := pbkdf2.Key(sha256.New, prepared(secret), s.salt, s.iterations, sha256.Size)
	if err != nil {
		return nil, err
	}
	stored := sha256.Sum256(mac(key, "Client Key"))
	return append(stored[:], mac(key, "Server Key")...), nil
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

const scramPrefix = "SCRAM-SHA-256$"

func (s scramSetting) encode(digest []byte) string {
	return fmt.Sprintf("%s%d:%s$%s:%s", scramPrefix, s.iterations, padded.EncodeToString(s.salt),
		padded.EncodeToString(digest[:sha256.Size]), padded.EncodeToString(digest[sha256.Size:]))
}

func (s scramSetting) renew() setting {
	s.salt = randomBytes(alike(len(s.salt)))
	return s
}

func (s scramSetting) cost() format.Cost { return format.Cost{Rounds: s.iterations} }

func scram() form {
	return form{
		parse: parseSCRAM,
		fresh: func(cost int) (setting, error) {
			n, err := within(cost, usualSCRAM, usualSCRAM, maxRounds)
			return scramSetting{iterations: n}.renew(), err
		},
	}
}

func parseSCRAM(value string) (setting, []byte, bool) {
	p, ok := pieces(value, scramPrefix, 2)
	if !ok {
		return nil, nil, false
	}
	iterations, salt64, ok1 := strings.Cut(p[0], ":")
	stored64, server64, ok2 := strings.Cut(p[1], ":")
	n, ok3 := number(iterations)
	salt, ok4 := decode(padded, salt64)
	stored, ok5 := decode(padded, stored64)
	server, ok6 := decode(padded, server64)
	ok = ok1 && ok2 && ok3 && ok4 && ok5 && ok6 &&
		n >= 1 && len(salt) > 0 && len(stored) == sha256.Size && len(server) == sha256.Size
	return scramSetting{n, salt}, append(stored, server...), ok
}

// prepared returns what PostgreSQL hashes of a password: by SASLprep (RFC 4013), or the bytes as
// they are where that refuses them or they are no UTF-8. It follows pg_saslprep to the letter:
// ASCII is left alone, a zero width space becomes a space, what is prohibited is looked for before
// the normalisation, and an empty result is a refusal.
func prepared(secret []byte) string {
	raw := string(secret)
	if ascii(secret) || !utf8.Valid(secret) {
		return raw
	}
	mapped, err := pgSASLprep().Prepare(raw)
	if err != nil || mapped == "" {
		return raw
	}
	return norm.NFKC.String(mapped)
}

func ascii(secret []byte) bool {
	for _, b := range secret {
		if b >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func pgSASLprep() stringprep.Profile {
	spaces := stringprep.Mapping{}
	for _, span := range stringprep.TableC1_2 {
		for r := span[0]; r <= span[1]; r++ {
			spaces[r] = []rune{' '}
		}
	}
	profile := stringprep.SASLprep
	profile.Mappings = []stringprep.Mapping{spaces, stringprep.TableB1}
	profile.Normalize = false
	return profile
}

// postgresMD5 is "md5" and MD5(password ‖ role) in hex, from before PostgreSQL 14. Roles keep it
// over an upgrade.
func postgresMD5() form {
	return form{parse: func(value string) (setting, []byte, bool) {
		digits, ok := strings.CutPrefix(value, "md5")
		digest, whole := lowerHex(digits)
		return postgresMD5Setting{}, digest, ok && whole && len(digest) == md5.Size
	}}
}

type postgresMD5Setting struct{}

func (postgresMD5Setting) digest(secret []byte, account string) ([]byte, error) {
	h := md5.New()
	h.Write(secret)
	h.Write([]byte(account))
	return h.Sum(nil), nil
}

func (postgresMD5Setting) encode(digest []byte) string { return "md5" + hex.EncodeToString(digest) }
func (s postgresMD5Setting) renew() setting            { return s }
func (postgresMD5Setting) cost() format.Cost           { return format.Cost{} }
