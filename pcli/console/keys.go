package console

import (
	"unicode/utf8"

	"github.com/shadowsync/shadowsync/internal/term/printable"
)

// The keys that this package refers to by name.
const (
	keyInterrupt = 0x03 // Ctrl-C
	keyEnd       = 0x04 // Ctrl-D
	keyBackspace = 0x08
	keyTab       = 0x09
	keyKill      = 0x15 // Ctrl-U
	keyWord      = 0x17 // Ctrl-W
	keyTop       = 0x1a // Ctrl-Z
	keyEscape    = 0x1b
	keyDelete    = 0x7f
)

// edits are the control characters that golang.org/x/term uses for editing.
const edits = "\x01\x02\x04\x05\x06\x08\x09\x0b\x0c\x0e\x10\x14\x15\x17\x7f"

// sequences maps terminals' escape sequences, without ESC, to those that golang.org/x/term knows.
// Others are ignored.
var sequences = map[string]string{
	"[A": "\x1b[A", "[B": "\x1b[B", "[C": "\x1b[C", "[D": "\x1b[D", "[H": "\x1b[H", "[F": "\x1b[F",
	"OA": "\x1b[A", "OB": "\x1b[B", "OC": "\x1b[C", "OD": "\x1b[D", "OH": "\x1b[H", "OF": "\x1b[F",
	"[1~": "\x1b[H", "[7~": "\x1b[H", "[4~": "\x1b[F", "[8~": "\x1b[F", "[3~": "\x1b[3~",
	"[1;3C": "\x1b[1;3C", "[1;5C": "\x1b[1;3C", "f": "\x1b[1;3C",
	"[1;3D": "\x1b[1;3D", "[1;5D": "\x1b[1;3D", "b": "\x1b[1;3D",
}

// keys turns bytes into whole keys, one per Read: golang.org/x/term blocks forever on a byte that
// is not UTF-8, takes Ctrl-C as the end of the input, and keeps what follows a line.
type keys struct {
	source *source
	shown  func(mark string) // echoes a key such as ^C to the person

	interrupted, top bool // how the line ended, if not by Enter
	full             bool // the line is too long: the rest is dropped
	afterReturn      bool // a newline now belongs to the return before it
	ending           bool // after Ctrl-C: the cursor was moved to the end of the line
}

// begin must be called before each line.
func (k *keys) begin() { k.interrupted, k.top, k.full, k.ending = false, false, false, false }

// Read returns one key. p must have room for the longest, 6 bytes.
func (k *keys) Read(p []byte) (int, error) {
	if k.ending {
		k.ending = false
		k.shown("^C")
		return copy(p, "\r"), nil
	}
	for {
		b, err := k.source.next()
		if err != nil {
			return 0, err
		}
		key, err := k.key(b)
		if err != nil {
			return 0, err
		}
		if key != "" {
			return copy(p, key), nil
		}
	}
}

// key completes the key that begins with b; empty for an ignored key.
func (k *keys) key(b byte) (string, error) {
	newline := b == '\n' && k.afterReturn
	k.afterReturn = b == '\r'
	switch {
	case newline:
		return "", nil
	case b == '\r' || b == '\n':
		return "\r", nil
	case b == keyInterrupt:
		k.interrupted, k.ending = true, true
		return "\x05", nil // moves golang.org/x/term to the end of the line
	case b == keyTop:
		k.top = true
		return "\r", nil
	case b == keyEscape:
		sequence, err := k.source.sequence()
		return sequences[sequence], err
	case k.full:
		return "", nil
	case b < ' ' || b == keyDelete:
		return edit(b), nil
	case b < utf8.RuneSelf:
		return string(rune(b)), nil
	}
	return k.character(b)
}

func edit(b byte) string {
	for i := range len(edits) {
		if edits[i] == b {
			return edits[i : i+1]
		}
	}
	return ""
}

// character completes a non-ASCII character. It drops stray bytes and unprintable characters.
func (k *keys) character(b byte) (string, error) {
	buffer := []byte{b}
	for !utf8.FullRune(buffer) {
		b, err := k.source.next()
		if err != nil {
			return "", err
		}
		if utf8.RuneStart(b) {
			return k.key(b) // the previous character was incomplete
		}
		buffer = append(buffer, b)
	}
	if r, _ := utf8.DecodeRune(buffer); r == utf8.RuneError {
		return "", nil // golang.org/x/term also blocks on U+FFFD itself
	}
	if text := string(buffer); printable.Quote(text) == text {
		return text, nil
	}
	return "", nil
}

// sequence reads what follows ESC: a CSI or SS3 sequence as in ECMA-48, or one byte. It stops at a
// sequence that is too long.
func (s *source) sequence() (string, error) {
	b, err := s.next()
	if err != nil || b != '[' && b != 'O' {
		return string(b), err
	}
	sequence := []byte{b}
	for len(sequence) < 16 {
		if b, err = s.next(); err != nil {
			return "", err
		}
		sequence = append(sequence, b)
		if sequence[0] == 'O' || b >= '@' && b <= '~' || b < ' ' {
			break
		}
	}
	return string(sequence), nil
}
