// Package totp makes and matches the time-based one-time codes of RFC 6238, in the one variant that
// every authenticator app computes: HMAC-SHA-1, six digits, steps of 30 seconds counted from 1970.
// It is pure: the caller brings secret, clock and floor, and keeps what was used.
//
// The standard library computes the code. The libraries for it take the secret as a string, which
// cannot be wiped; here secrets and codes are bytes that the caller clears after use.
//
//	totp.go  secrets, codes, and which step a typed code belongs to
//	key.go   how a secret gets into an app: setup key and otpauth address
package totp

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // RFC 6238's default, and all that apps agree on; HMAC does not need collision resistance
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"time"
)

// SecretSize is the length of a new secret in bytes: 160 bits, as RFC 4226 section 4 recommends.
const SecretSize = sha1.Size

// Period is how long a step lasts.
const Period = 30 * time.Second

// Digits is the length of a code.
const Digits = 6

// Drift is how many steps a code may be ahead of or behind the clock, the one that RFC 6238
// section 5.2 allows for the time that typing and sending take.
const Drift = 1

// NewSecret returns a random secret.
func NewSecret() []byte {
	secret := make([]byte, SecretSize)
	_, _ = rand.Read(secret) // it never fails: see its documentation
	return secret
}

// StepAt returns the step that t belongs to. Before 1970 it is negative, and no code matches.
func StepAt(t time.Time) int64 {
	seconds, period := t.Unix(), int64(Period/time.Second)
	step := seconds / period
	if seconds%period < 0 {
		step--
	}
	return step
}

// StepBegins returns the time at which a step begins.
func StepBegins(step int64) time.Time {
	return time.Unix(step*int64(Period/time.Second), 0)
}

// Code returns the six digits of a step.
func Code(secret []byte, step int64) []byte {
	mac := hmac.New(sha1.New, secret)
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(step)))
	sum := mac.Sum(nil)
	// The dynamic truncation of RFC 4226 section 5.3.
	offset := sum[len(sum)-1] & 0xf
	number := binary.BigEndian.Uint32(sum[offset:]) & 0x7fffffff
	return fmt.Appendf(nil, "%0*d", Digits, number%1_000_000)
}

// Match returns the step that a code belongs to: one of the step of now and its neighbours, and
// above floor, the last step that was accepted. It takes the same time whatever the code is. It
// keeps nothing: the caller stores the step by compare-and-set before anybody is told.
func Match(secret, code []byte, now time.Time, floor int64) (step int64, ok bool) {
	current := StepAt(now)
	for candidate := current + Drift; candidate >= current-Drift; candidate-- {
		same := subtle.ConstantTimeCompare(Code(secret, candidate), code) == 1
		if same && candidate >= 0 && candidate > floor {
			step, ok = candidate, true
		}
	}
	return step, ok
}

// Offset returns how many steps ahead of the clock (negative: behind it) the nearest step with this
// code is, looking no further than within steps either way. It explains a refused code to root and
// accepts nothing: by chance, a wrong code is found in one of 500,000/within cases.
func Offset(secret, code []byte, now time.Time, within int64) (steps int64, found bool) {
	current := StepAt(now)
	for distance := range within + 1 {
		for _, steps := range []int64{distance, -distance} {
			if current+steps >= 0 && subtle.ConstantTimeCompare(Code(secret, current+steps), code) == 1 {
				return steps, true
			}
		}
	}
	return 0, false
}
