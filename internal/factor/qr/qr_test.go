package qr

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/shadowsync/shadowsync/internal/factor/totp"
)

// texts are addresses of several lengths, and one that is no address.
func texts() []string {
	secret := []byte("12345678901234567890")
	return []string{
		totp.Address("conductor", "admin", secret),
		totp.Address("North & South", strings.Repeat("n", 32), secret),
		totp.Address("Zürich", "müller", bytes.Repeat([]byte{0xff}, 64)),
		"HELLO 123",
	}
}

// decode has another program read a picture.
func decode(t *testing.T, picture []byte, options ...string) string {
	t.Helper()
	zbarimg, err := exec.LookPath("zbarimg")
	if err != nil {
		t.Skip("zbarimg is not installed")
	}
	file := filepath.Join(t.TempDir(), "code.png")
	if err := os.WriteFile(file, picture, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), zbarimg, append(options, "--quiet", "--raw", file)...).Output()
	if err != nil {
		t.Errorf("zbarimg finds no code: %v", err)
	}
	return strings.TrimSuffix(string(out), "\n")
}

func TestPNG(t *testing.T) {
	for _, text := range texts() {
		picture, err := PNG(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := decode(t, picture); got != text {
			t.Errorf("%q is read as %q", text, got)
		}
	}
}

// rasterize draws the data of a path from [Path], some pixels a module.
func rasterize(t *testing.T, data string, side int) []byte {
	t.Helper()
	const pixels = 5
	picture := image.NewGray(image.Rect(0, 0, side*pixels, side*pixels))
	draw.Draw(picture, picture.Bounds(), image.White, image.Point{}, draw.Src)
	for one := range strings.SplitSeq(strings.TrimSuffix(data, "z"), "z") {
		var x, y, width, back int
		if _, err := fmt.Sscanf(one, "M%d %dh%dv1h-%d", &x, &y, &width, &back); err != nil || width != back {
			t.Fatalf("%q: %v", one, err)
		}
		draw.Draw(picture, image.Rect(x*pixels, y*pixels, (x+width)*pixels, (y+1)*pixels), image.Black, image.Point{}, draw.Src)
	}
	var file bytes.Buffer
	if err := png.Encode(&file, picture); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func TestPath(t *testing.T) {
	for _, text := range texts() {
		data, side, err := Path(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := decode(t, rasterize(t, data, side)); got != text {
			t.Errorf("%q is read as %q", text, got)
		}
	}
}

// A theme is the pair of colours in which a terminal shows text that has none.
type theme struct{ text, background color.Gray }

var (
	darkTheme  = theme{color.Gray{Y: 0xd0}, color.Gray{Y: 0x10}}
	lightTheme = theme{color.Gray{Y: 0x10}, color.Gray{Y: 0xf0}}
)

// Pixels of a character, about as wide and high as in a terminal of 14 points.
const cellWidth, cellHeight = 8, 16

var sequence = regexp.MustCompile(`^\x1b\[([0-9;]*)m`)

// photograph draws what a terminal of that theme shows, with some empty characters around it.
func photograph(t *testing.T, drawing string, on theme) []byte {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(drawing, "\n"), "\n")
	screen := image.NewGray(image.Rect(0, 0, 120*cellWidth, (len(lines)+4)*cellHeight))
	draw.Draw(screen, screen.Bounds(), image.NewUniform(on.background), image.Point{}, draw.Src)
	for y, line := range lines {
		now := on
		for x := 2; line != ""; {
			if found := sequence.FindStringSubmatch(line); found != nil {
				now, line = styled(t, found[1], on), line[len(found[0]):]
				continue
			}
			shape, size := utf8.DecodeRuneInString(line)
			line = line[size:]
			cell := image.Rect(0, 0, cellWidth, cellHeight).Add(image.Pt(x*cellWidth, (y+2)*cellHeight))
			fill(t, screen, cell, shape, now)
			x++
		}
	}
	var file bytes.Buffer
	if err := png.Encode(&file, screen); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// styled returns the colours after an SGR sequence.
func styled(t *testing.T, parameters string, usual theme) theme {
	t.Helper()
	switch parameters {
	case "0":
		return usual
	case "38;5;16;48;5;231": // of the fixed colours 16 is black and 231 white
		return theme{color.Gray{Y: 0}, color.Gray{Y: 0xff}}
	}
	t.Fatalf("unknown sequence %q", parameters)
	return theme{}
}

func fill(t *testing.T, screen draw.Image, cell image.Rectangle, shape rune, now theme) {
	t.Helper()
	ink := cell
	switch shape {
	case '█':
	case '▀':
		ink.Max.Y -= cellHeight / 2
	case '▄':
		ink.Min.Y += cellHeight / 2
	case ' ':
		ink = image.Rectangle{}
	default:
		t.Fatalf("unexpected character %q", shape)
	}
	draw.Draw(screen, cell, image.NewUniform(now.background), image.Point{}, draw.Src)
	draw.Draw(screen, ink, image.NewUniform(now.text), image.Point{}, draw.Src)
}

func TestTerminal(t *testing.T) {
	for _, tt := range []struct {
		name    string
		colours bool
		on      theme
		options []string
	}{
		{"in colours on a dark background", true, darkTheme, nil},
		{"in colours on a light background", true, lightTheme, nil},
		{"without colours on a dark background", false, darkTheme, nil},
		{"without colours on a light background, inverted", false, lightTheme, []string{"-Stest-inverted"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, text := range texts() {
				drawing, err := Terminal(text, tt.colours)
				if err != nil {
					t.Fatal(err)
				}
				if got := decode(t, photograph(t, drawing, tt.on), tt.options...); got != text {
					t.Errorf("%q is read as %q", text, got)
				}
			}
		})
	}
}

func TestWithoutColoursThereAreNoEscapes(t *testing.T) {
	for _, colours := range []bool{false, true} {
		drawing, err := Terminal(texts()[0], colours)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(drawing, "\x1b") == !colours {
			t.Errorf("colours %v: the drawing is %q", colours, drawing)
		}
	}
}

// The setup of a usual name fits on the smallest terminal, with a line left for a prompt.
func TestSizeOnTerminal(t *testing.T) {
	drawing, err := Terminal(texts()[0], false)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(drawing, "\n"), "\n")
	if len(lines) > 23 {
		t.Errorf("%d lines", len(lines))
	}
	for _, line := range lines {
		if width := utf8.RuneCountInString(line); width > 2*len(lines) || width != utf8.RuneCountInString(lines[0]) || width > 80 {
			t.Errorf("%d lines, one of %d characters", len(lines), width)
		}
	}
}

func TestTooLong(t *testing.T) {
	text := "otpauth://secret" + strings.Repeat("x", 3000)
	if drawing, err := Terminal(text, true); err == nil || drawing != "" || strings.Contains(err.Error(), "otpauth") {
		t.Errorf("%q, %v", drawing, err)
	}
	if picture, err := PNG(text); err == nil || picture != nil || strings.Contains(err.Error(), "otpauth") {
		t.Errorf("%d bytes, %v", len(picture), err)
	}
	if data, _, err := Path(text); err == nil || data != "" || strings.Contains(err.Error(), "otpauth") {
		t.Errorf("%q, %v", data, err)
	}
}
