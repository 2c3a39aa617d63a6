package moduletest

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// The module reads 200,000 damaged packets exactly as the reader in Go below does.
func TestDamagedAnswers(t *testing.T) {
	const seed = 20261121
	packets := damagedPackets(rand.New(rand.NewPCG(seed, 0)), 200_000)
	verdicts := readWithModule(t, packets)
	taken := 0
	for i, packet := range packets {
		want := readWithGo(packet)
		if got := verdicts[i]; got.kind != want.kind || want.kind != 0 && got.text != want.text {
			t.Fatalf("packet %q: module says %q, Go %q (seed %d)", packet, got, want, seed)
		}
		if want.kind != 0 {
			taken++
		}
	}
	if taken < len(packets)/100 || taken > len(packets)*99/100 {
		t.Errorf("%d of %d packets taken: the damage tests nothing", taken, len(packets))
	}
}

func damagedPackets(random *rand.Rand, n int) [][]byte {
	seeds := []string{
		answerOf(persisted), answerOf(""), answerOf("shadowsync: é ✔ 😀 \u0085 \u202e"), answerOf("shadowsync: " + strings.Repeat("ü", 260)),
		answerOf(tooShort), noteOf(""), noteOf(notPersisted), answerOf(persisted + "\n" + notPersisted), answerOf(strings.Repeat("x\n", 9)), "r", `{"message":""}`, "",
	}
	pieces := []string{"s", "r", "n", "{", " ", "\n", "\x00", "\x1b", "\x7f", "\xc3", "\xe2\x9c", "\xf4\x90\x80\x80", "\xed\xa0\x80", "\xe0\x80\xaf", "é", "0"}
	packets := make([][]byte, n)
	for i := range packets {
		packet := []byte(seeds[random.IntN(len(seeds))])
		for range random.IntN(3) {
			at := random.IntN(len(packet) + 1)
			if random.IntN(4) == 0 {
				at = 0 // the byte of the kind
			}
			end := min(len(packet), at+random.IntN(3))
			packet = slices.Replace(packet, at, end, []byte(pieces[random.IntN(len(pieces))])...)
		}
		packets[i] = packet
	}
	return packets
}

// verdict is what was read from a packet; its kind is 0 if the packet is not a valid answer.
type verdict struct {
	kind byte
	text string
}

func readWithModule(t *testing.T, packets [][]byte) []verdict {
	t.Helper()
	reader := filepath.Join(t.TempDir(), "answers")
	if err := compile(reader, append(slices.Clone(sanitizeFlags), "testdata/answers.c", "../text.c")); err != nil {
		t.Fatal(err)
	}
	var in bytes.Buffer
	for _, packet := range packets {
		in.Write(binary.NativeEndian.AppendUint16(nil, uint16(len(packet))))
		in.Write(packet)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, reader)
	var failure bytes.Buffer
	cmd.Stdin, cmd.Stderr = &in, &failure
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, failure.String())
	}
	return readVerdicts(t, bytes.NewReader(out), len(packets))
}

func readVerdicts(t *testing.T, out io.Reader, n int) []verdict {
	t.Helper()
	verdicts := make([]verdict, n)
	for i := range verdicts {
		head := make([]byte, 3)
		if _, err := io.ReadFull(out, head); err != nil {
			t.Fatal(err)
		}
		message := make([]byte, binary.NativeEndian.Uint16(head[1:]))
		if _, err := io.ReadFull(out, message); err != nil {
			t.Fatal(err)
		}
		verdicts[i] = verdict{head[0], string(message)}
	}
	return verdicts
}

func readWithGo(packet []byte) verdict {
	if len(packet) == 0 || !strings.ContainsRune("srn", rune(packet[0])) {
		return verdict{}
	}
	lines := strings.Split(strings.TrimSuffix(string(packet[1:]), "\n"), "\n")
	lines = lines[:min(len(lines), 8)]
	for i, line := range lines {
		lines[i] = cleaned(line)
	}
	text := strings.Join(lines, "\n")
	if packet[0] == 'r' && text == "" {
		return verdict{}
	}
	return verdict{packet[0], text}
}

// cleaned is what the module shows of a line: at most 512 bytes, with '?' for each rune that does not print, as far as
// these packets hold such runes, and for each byte that is not UTF-8.
func cleaned(message string) string {
	var clean strings.Builder
	for at, r := range message {
		_, size := utf8.DecodeRuneInString(message[at:])
		if r == utf8.RuneError && size == 1 || r < 0x20 || r >= 0x7f && r < 0xa0 || r >= 0x200b && r <= 0x200f || r >= 0x2028 && r <= 0x202e || r >= 0xd800 && r <= 0xf8ff || r >= 0xe0000 {
			r = '?'
		}
		if clean.Len()+utf8.RuneLen(r) > 512 {
			break
		}
		clean.WriteRune(r)
	}
	return clean.String()
}
