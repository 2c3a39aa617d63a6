package scheme

import (
	"errors"
	"fmt"
)

// The limits of what one value may cost; about three seconds on a slow machine. They stand well
// above what applications make today:
//
//   - PBKDF2: Django 6.0 makes 1,200,000 iterations, and a fifth more with each release; OWASP's
//     Password Storage Cheat Sheet asks for 600,000 of SHA-256.
//   - bcrypt: Symfony makes 13, passlib, Django and PHP 8.4 make 12.
//   - scrypt and argon2: Gitea's scrypt$65536$16$2 takes 128 MiB and passes over 256, argon2id by
//     RFC 9106's second recommendation takes 64 MiB and passes over 192. (Its first one, 2 GiB, is
//     refused: a value of a store must not take the memory of an appliance.)
const (
	maxRounds = 5_000_000
	maxLog2   = 15
	maxMemory = 257 << 20
	maxWork   = 1 << 30
)

// maxValue is the length in bytes of the longest value. The longest real ones, mosquitto's with a
// salt of 64 bytes and Gitea's three columns, stay under 300.
const maxValue = 1024

// errNoCost refuses a cost where the scheme has none.
var errNoCost = errors.New("this scheme has no cost")

// within returns cost, or the default for 0; an error if it is not from lowest to highest.
func within(cost, usual, lowest, highest int) (int, error) {
	if cost == 0 {
		return usual, nil
	}
	if cost < lowest || cost > highest {
		return 0, fmt.Errorf("this scheme's is from %d to %d", lowest, highest)
	}
	return cost, nil
}
