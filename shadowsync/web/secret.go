package web

import (
	"os"

	"github.com/shadowsync/shadowsync/internal/wire/socket"
)

// Secret is a password or a code on its way to the daemon: an anonymous file in memory that nobody can
// change any more. The caller closes it.
type Secret struct{ file *os.File }

// NewSecret takes a secret and overwrites text, whether it succeeds or not.
func NewSecret(text []byte) (*Secret, error) {
	defer socket.Wipe(text)
	file, err := socket.SealedMemfd(text)
	if err != nil {
		return nil, err
	}
	return &Secret{file}, nil
}

// Close gives the secret's memory back.
func (s *Secret) Close() error { return s.file.Close() }
