package console

import (
	"unicode/utf8"

	"github.com/shadowsync/shadowsync/internal/printable"
)

// The keys that have a name here.
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

// edits are the control characters that golang.org/x/term edits with.
const edits = "\x01\x02\x04\x05\x06\x08\x09\x0b\x0c\x0e\x10\x14\x15\x17\x7f"

// sequences maps what terminals send to what golang.org/x/term knows. What is not
// here does nothing. The keys are the bytes after ESC.
var sequences = map[string]string{
	"[A": "\x1b[A", "[B": "\x1b[B", "[C": "\x1b[C", "[D": "\x1b[D", "[H": "\x1b[H", "[F": "\x1b[F",
	"OA": "\x1b[A", "OB": "\x1b[B", "OC": "\x1b[C", "OD": "\x1b[D", "OH": "\x1b[H", "OF": "\x1b[F",
	"[1~": "\x1b[H", "[7~": "\x1b[H", "[4~": "\x1b[F", "[8~": "\x1b[F", "[3~": "\x1b[3~",
	"[1;3C": "\x1b[1;3C", "[1;5C": "\x1b[1;3C", "f": "\x1b[1;3C",
	"[1;3D": "\x1b[1;3D", "[1;5D": "\x1b[1;3D", "b": "\x1b[1;3D",
}

// keys makes whole keys of bytes, one a Read: golang.org/x/term waits for ever on
// a byte that is not UTF-8, takes Ctrl-C for the end, and keeps what comes behind a line.
type keys struct {
	source *source
	shown  func(mark string) // tells the person what was taken

	interrupted, top bool // how the line ended, if not by Enter
	full             bool // the line is too long: the rest of it is dropped
	afterReturn      bool // a newline now belongs to it
	ending           bool // Ctrl-C came, and the cursor was sent to the end of the line
}

// begin is to be called before each line.
func (k *keys) begin() { k.interrupted, k.top, k.full, k.ending = false, false, false, false }

// Read gives one key. Its p must hold the longest, 6 bytes.
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

// key completes the key that begins with b; empty for one that does nothing.
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
		return "\x05", nil // the end of the line, for golang.org/x/term
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

// character completes one beyond ASCII. Stray bytes and what is not printable are dropped.
func (k *keys) character(b byte) (string, error) {
	buffer := []byte{b}
	for !utf8.FullRune(buffer) {
		b, err := k.source.next()
		if err != nil {
			return "", err
		}
		if utf8.RuneStart(b) {
			return k.key(b) // the one before was cut off
		}
		buffer = append(buffer, b)
	}
	if r, _ := utf8.DecodeRune(buffer); r == utf8.RuneError {
		return "", nil // golang.org/x/term waits on U+FFFD itself too
	}
	if text := string(buffer); printable.Quote(text) == text {
		return text, nil
	}
	return "", nil
}

// sequence takes what follows ESC: CSI and SS3 sequences as ECMA-48 has them, or one
// byte. What grows beyond reason ends there.
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
