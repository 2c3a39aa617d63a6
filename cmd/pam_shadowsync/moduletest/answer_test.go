package moduletest

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// The module's reader of answers and encoding/json judge the same 200,000 damaged packets: what one takes, the other
// takes, and both read the same text.
func TestAnswersAgainstEncodingJSON(t *testing.T) {
	const seed = 20261121
	packets := damagedPackets(rand.New(rand.NewPCG(seed, 0)), 200_000)
	verdicts := judge(t, packets)
	taken := 0
	for i, packet := range packets {
		message, ok := readWithGo(packet)
		if verdicts[i].ok != ok || ok && verdicts[i].message != cleaned(message) {
			t.Fatalf("packet %q: module says %v %q, encoding/json %v %q (seed %d)", packet, verdicts[i].ok, verdicts[i].message, ok, message, seed)
		}
		if ok {
			taken++
		}
	}
	if taken < len(packets)/100 || taken > len(packets)*99/100 {
		t.Errorf("%d of %d packets taken: the damage tests nothing", taken, len(packets))
	}
}

func damagedPackets(random *rand.Rand, n int) [][]byte {
	seeds := []string{
		answerOf(persisted), answerOf(""), ` { "message" : "shadowsync: \u00e9 \ud83d\ude00 \\ \" \/ \b\f\n\r\t" } `,
		answerOf("shadowsync: é ✔ 😀 \u0085 \u202e"), answerOf("shadowsync: " + strings.Repeat("ü", 260)), `{"message":"a","b":1}`,
		answerOf(tooShort),
	}
	pieces := []string{`\`, `"`, `\u`, `\ud83d`, `\udc00`, `\u0000`, `\u001b`, "{", "}", ":", ",", " ", "\n", "\x00", "\x7f", "\xc3", "\xe2\x9c", "\xf4\x90\x80\x80", "\xed\xa0\x80", "é", "0", "null"}
	packets := make([][]byte, n)
	for i := range packets {
		packet := []byte(seeds[random.IntN(len(seeds))])
		for range random.IntN(3) {
			at := random.IntN(len(packet) + 1)
			end := min(len(packet), at+random.IntN(3))
			packet = slices.Replace(packet, at, end, []byte(pieces[random.IntN(len(pieces))])...)
		}
		packets[i] = packet
	}
	return packets
}

type verdict struct {
	ok      bool
	message string
}

func judge(t *testing.T, packets [][]byte) []verdict {
	t.Helper()
	judge := filepath.Join(t.TempDir(), "answers")
	if err := compile(judge, append(slices.Clone(sanitizeFlags), "testdata/answers.c", "../text.c")); err != nil {
		t.Fatal(err)
	}
	var in bytes.Buffer
	for _, packet := range packets {
		in.Write(binary.NativeEndian.AppendUint16(nil, uint16(len(packet))))
		in.Write(packet)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, judge)
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
		verdicts[i] = verdict{head[0] == 1, string(message)}
	}
	return verdicts
}

var surrogate = regexp.MustCompile(`\\u[dD][89a-fA-F][0-9a-fA-F]{2}`)

// readWithGo is strict where encoding/json is lenient: UTF-8, surrogates, the member's case, one member alone.
func readWithGo(packet []byte) (string, bool) {
	decoder := json.NewDecoder(bytes.NewReader(packet))
	var tokens []any
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			return "", false
		}
		tokens = append(tokens, token)
	}
	if !json.Valid(packet) || !utf8.Valid(packet) || loneSurrogate(packet) || len(tokens) != 4 || tokens[0] != json.Delim('{') || tokens[1] != "message" {
		return "", false
	}
	message, ok := tokens[2].(string)
	clean := cleaned(message)
	return message, ok && (clean == "" || strings.HasPrefix(clean, "shadowsync: ") || strings.HasPrefix(clean, "BAD PASSWORD: "))
}

// loneSurrogate tells whether a \u escape is half of a pair, which encoding/json would replace.
func loneSurrogate(packet []byte) bool {
	text := strings.ReplaceAll(string(packet), `\\`, "__")
	for {
		at := surrogate.FindStringIndex(text)
		if at == nil {
			return false
		}
		next := surrogate.FindStringIndex(text[at[1]:])
		high := strings.ContainsRune("89abAB", rune(text[at[0]+3]))
		if !high || next == nil || next[0] != 0 || strings.ContainsRune("89abAB", rune(text[at[1]+3])) {
			return true
		}
		text = text[at[1]+6:]
	}
}

// cleaned is what of message may reach a terminal: the runes of these packets that do not print, replaced; 512 bytes.
func cleaned(message string) string {
	var clean strings.Builder
	for _, r := range message {
		if r < 0x20 || r >= 0x7f && r < 0xa0 || r >= 0x200b && r <= 0x200f || r >= 0x2028 && r <= 0x202e || r >= 0xd800 && r <= 0xf8ff || r >= 0xe0000 {
			r = '?'
		}
		if clean.Len()+utf8.RuneLen(r) > 512 {
			break
		}
		clean.WriteRune(r)
	}
	return clean.String()
}
