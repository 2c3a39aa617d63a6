package crypt

import (
	"github.com/GehirnInc/crypt/apr1_crypt"
	"github.com/GehirnInc/crypt/sha256_crypt"
	"github.com/GehirnInc/crypt/sha512_crypt"

	"github.com/shadowsync/shadowsync/internal/password/crypt/format"
)

// hasher is the part of GehirnInc's crypt.Crypter that this package needs. It
// returns the hash of key with the given setting.
type hasher interface {
	Generate(key, setting []byte) (string, error)
}

// hashers is the closed table of formats that can be verified. GehirnInc's own registry is not
// used: its NewFromHash panics on an unknown prefix. Its crypters keep no state and are safe to
// share. Its SHA formats use the processor's own instructions; its MD5 is a tenth slower than
// libxcrypt's.
var hashers = map[format.Format]hasher{
	format.Yescrypt:     libxcrypt{},
	format.GostYescrypt: libxcrypt{},
	format.Scrypt:       libxcrypt{},
	format.Bcrypt:       libxcrypt{},
	format.SHA512:       sha512_crypt.New(),
	format.SHA256:       sha256_crypt.New(),
	format.MD5:          libxcrypt{},
	format.APR1:         apr1_crypt.New(),
	format.DES:          libxcrypt{},
}
