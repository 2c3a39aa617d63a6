package format

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ErrTooCostly says that verifying a hash would take more time or memory than the limits allow.
var ErrTooCostly = errors.New("password hash too costly to verify")

// Cost is what it takes to verify a hash once. A field that does not apply to the format is 0.
type Cost struct {
	Rounds int     // of sha256crypt and sha512crypt
	Log2   int     // of bcrypt: the logarithm of its rounds
	Memory float64 // of yescrypt and scrypt, in bytes
	Work   float64 // of yescrypt and scrypt: bytes of memory processed, over all passes
}

// ForeignLimits apply to a hash from a credential store. Every login pays the cost again, before
// anybody is authenticated, so a hostile hash could make sshd and login hang. And where passwords
// must not be reused, a new one is checked against several hashes, and passwd(1) waits only one
// second for that. The limits allow what is in use: passlib, and so Ansible, makes 656,000 rounds.
// The memory is 256 MiB of blocks and some overhead.
var ForeignLimits = Cost{Rounds: 656_000, Log2: 13, Memory: 257 << 20, Work: 257 << 20}

// OwnLimits apply to a hash of the machine's own /etc/shadow, where root chose the cost. They allow
// all that crypt_gensalt(3) makes for yescrypt and scrypt, and about ten seconds of work for the
// others.
var OwnLimits = Cost{Rounds: 10_000_000, Log2: 17, Memory: 1025 << 20, Work: 2 << 30}

// Within returns nil if no field of c is above the limit, else ErrTooCostly with the figures.
func (c Cost) Within(limit Cost) error {
	switch {
	case c.Rounds > limit.Rounds:
		return fmt.Errorf("%w: %d rounds, at most %d are allowed", ErrTooCostly, c.Rounds, limit.Rounds)
	case c.Log2 > limit.Log2:
		return fmt.Errorf("%w: cost %d, at most %d is allowed", ErrTooCostly, c.Log2, limit.Log2)
	case c.Memory > limit.Memory:
		return fmt.Errorf("%w: %.0f MiB of memory, at most %.0f are allowed", ErrTooCostly, c.Memory/(1<<20), limit.Memory/(1<<20))
	case c.Work > limit.Work:
		return fmt.Errorf("%w: %.0f MiB of memory passed over, at most %.0f are allowed", ErrTooCostly, c.Work/(1<<20), limit.Work/(1<<20))
	}
	return nil
}

// CostOf returns the cost of the hashes made with a setting of crypt_gensalt(3); zero for no
// setting.
func CostOf(f Format, setting string) Cost {
	if f != Bcrypt {
		setting += "$"
	}
	h, _ := Parse(setting + strings.Repeat(".", f.traits().checksum))
	return h.Cost
}

// Max returns the higher value of each field.
func (c Cost) Max(other Cost) Cost {
	return Cost{max(c.Rounds, other.Rounds), max(c.Log2, other.Log2), max(c.Memory, other.Memory), max(c.Work, other.Work)}
}

// Seconds estimates how long a slow machine computes one hash; few rounds count as nothing.
func (c Cost) Seconds() float64 {
	const shaRounds, bcryptRounds, bytes = 500_000, 1 << 13, 100 << 20 // a second
	bcrypt := 0.0
	if c.Log2 > 0 {
		bcrypt = math.Exp2(float64(c.Log2)) / bcryptRounds
	}
	return float64(c.Rounds)/shaRounds + bcrypt + c.Work/bytes
}

func fixedCost(string) (Cost, error) { return Cost{}, nil }

// shaCost reads the number after "rounds=", which is optional.
func shaCost(rounds string) (Cost, error) {
	if rounds == "" {
		return Cost{Rounds: 5000}, nil
	}
	n, err := strconv.Atoi(rounds)
	return Cost{Rounds: n}, err
}

func bcryptCost(log2 string) (Cost, error) {
	n, err := strconv.Atoi(log2)
	return Cost{Log2: n}, err
}

// scryptCost reads the parameters of $7$: log2 N in one digit, r and p in five digits each, the
// least significant first.
func scryptCost(parameters string) (Cost, error) {
	log2N := digit(parameters[0])
	r, p := fixedNumber(parameters[1:6]), fixedNumber(parameters[6:11])
	if log2N == 0 || r == 0 || p == 0 {
		return Cost{}, errors.New("a parameter of 0")
	}
	return blockCost(log2N, r, p, 0), nil
}

// yescryptCost reads the parameters of $y$ and $gy$: the flavour, log2 N and r, then optionally a
// mask of what follows: p (1), t (2), g (4), ROM (8). It accepts only the flavour "j" of
// crypt_gensalt(3), and neither g nor a ROM, which libxcrypt does not support.
func yescryptCost(parameters string) (Cost, error) {
	rest, ok := strings.CutPrefix(parameters, "j")
	if !ok {
		return Cost{}, errors.New("a flavour that is not in use")
	}
	in := numbers{rest: rest}
	log2N, r := in.next(1), in.next(1)
	p, t, mask := 1, 0, 0
	if in.rest != "" {
		mask = in.next(1)
	}
	if mask&1 != 0 {
		p = in.next(2)
	}
	if mask&2 != 0 {
		t = in.next(1)
	}
	if in.short || in.rest != "" || mask > 3 || log2N > 63 {
		return Cost{}, errors.New("parameters that do not parse")
	}
	return blockCost(log2N, r, p, t), nil
}

// blockCost computes the cost of scrypt and yescrypt: N blocks of 128 r bytes, filled and read p
// times, 1+t times each; also p blocks of input and p S-boxes of 12 KiB. Floating point does not
// overflow.
func blockCost(log2N, r, p, t int) Cost {
	block, lanes := 128*float64(r), float64(p)
	blocks := math.Exp2(float64(log2N)) * block
	return Cost{
		Memory: blocks + lanes*(block+12<<10),
		Work:   blocks * lanes * float64(1+t),
	}
}

const digits = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

func digit(c byte) int { return strings.IndexByte(digits, c) }

// fixedNumber reads digits with the least significant first.
func fixedNumber(s string) int {
	n := 0
	for i := range len(s) {
		n |= digit(s[i]) << (6 * i)
	}
	return n
}

// numbers reads yescrypt's numbers of variable length one by one. The first digit tells how many
// follow, in ever smaller ranges (48 values alone, 8 with one more digit, then 4, 2, 1, 1), the
// most significant digit first.
type numbers struct {
	rest  string
	short bool // the input ended in the middle of a number
}

// next reads a number whose smallest value is least.
func (in *numbers) next(least int) int {
	if in.rest == "" {
		in.short = true
		return 0
	}
	first, value, start, end, more := digit(in.rest[0]), least, 0, 47, 0
	for first > end {
		value += (end + 1 - start) << (6 * more)
		start, end = end+1, end+1+(62-end)/2
		more++
	}
	if len(in.rest) <= more {
		in.short = true
		return 0
	}
	value += (first - start) << (6 * more)
	for i := 1; i <= more; i++ {
		value += digit(in.rest[i]) << (6 * (more - i))
	}
	in.rest = in.rest[more+1:]
	return value
}
