package format

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ErrTooCostly says that a hash would take more time or memory to verify than
// the limits allow.
var ErrTooCostly = errors.New("password hash too costly to verify")

// Cost is what it takes to verify a hash once. A field that a format does not
// have is 0.
type Cost struct {
	Rounds int     // of sha256crypt and sha512crypt
	Log2   int     // of bcrypt: the logarithm of its rounds
	Memory float64 // of yescrypt and scrypt, in bytes
	Work   float64 // of yescrypt and scrypt: bytes of memory passed over
}

// ForeignLimits bind a hash that comes from a credential store. Every login
// pays the cost again, before anybody is authenticated, so that a hostile hash
// would make sshd and login hang. At these limits one verification takes about
// a second (three for a SHA hash and a token of 500 bytes). They leave room for
// what is in use: passlib, and with it Ansible, makes 656,000 rounds. The memory
// is 256 MiB of blocks and what goes with them.
var ForeignLimits = Cost{Rounds: 1_000_000, Log2: 14, Memory: 257 << 20, Work: 512 << 20}

// OwnLimits bind a hash of the machine's own /etc/shadow, where root chose the
// cost: all that crypt_gensalt(3) makes for yescrypt and scrypt, and what takes
// some ten seconds at most of the others.
var OwnLimits = Cost{Rounds: 10_000_000, Log2: 17, Memory: 1025 << 20, Work: 2 << 30}

// Within returns nil if nothing of c is above the limit, else ErrTooCostly
// with the figures.
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

// scryptCost reads the parameters of $7$: log2 N in one digit, r and p in five
// each, least significant first.
func scryptCost(parameters string) (Cost, error) {
	log2N := digit(parameters[0])
	r, p := fixedNumber(parameters[1:6]), fixedNumber(parameters[6:11])
	if log2N == 0 || r == 0 || p == 0 {
		return Cost{}, errors.New("a parameter of 0")
	}
	return blockCost(log2N, r, p, 0), nil
}

// yescryptCost reads the parameters of $y$ and $gy$: the flavour, log2 N and r,
// then optionally a mask of what follows: p (1), t (2), g (4), ROM (8). Only
// the flavour of crypt_gensalt(3), "j", is accepted, and neither g nor a ROM,
// which libxcrypt does not support.
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

// blockCost computes the cost of scrypt and yescrypt: N blocks of 128 r bytes,
// filled and read p times over, 1+t times each; beside them p blocks of input
// and p S-boxes of 12 KiB. In floating point, which does not wrap around.
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

// numbers reads yescrypt's numbers of variable length one by one: the first digit
// tells how many follow, in ever smaller ranges (48 values alone, 8 with one
// more digit, then 4, 2, 1, 1), most significant digit first.
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
