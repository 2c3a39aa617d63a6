// Package qr draws QR codes (ISO/IEC 18004) on a terminal, as PNG and as a path of SVG.
//
// github.com/boombuler/barcode encodes them: of the encoders that stand on no other module it is the
// one that is kept up and chooses the mask as the standard says, which makes a code easy to read. How
// a code is laid out on a terminal is ours.
//
//	qr.go  the drawings
package qr

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"strings"

	"github.com/boombuler/barcode"
	"github.com/boombuler/barcode/qr"
)

// quiet is the width of the light border that the standard demands, in modules.
const quiet = 4

// scale is how many pixels of a PNG a module is wide: large enough for a camera, small enough for a mail.
const scale = 8

// Colours that do not depend on the terminal's theme: black on white of the 256 that have fixed values.
const (
	blackOnWhite = "\x1b[38;5;16;48;5;231m"
	reset        = "\x1b[0m"
)

// Terminal draws text as a QR code with half blocks, two modules in one character. In colours it is
// black on white on every terminal. Without them, where escape sequences cannot be sent, the light
// modules are drawn: that is right on a dark background and inverted on a light one, where many
// apps still read it. Each line ends with a newline; a code is two columns wide for each of its lines.
func Terminal(text string, colours bool) (string, error) {
	code, err := encode(text)
	if err != nil {
		return "", err
	}
	// What a character's upper and lower half show, by whether the modules there are dark.
	shapes := map[[2]bool]string{{false, false}: "█", {true, false}: "▄", {false, true}: "▀", {true, true}: " "}
	if colours {
		shapes = map[[2]bool]string{{true, true}: "█", {false, true}: "▄", {true, false}: "▀", {false, false}: " "}
	}
	var drawing strings.Builder
	side := code.side()
	for y := 0; y < side; y += 2 {
		if colours {
			drawing.WriteString(blackOnWhite)
		}
		for x := range side {
			drawing.WriteString(shapes[[2]bool{code.dark(x, y), code.dark(x, y+1)}])
		}
		if colours {
			drawing.WriteString(reset)
		}
		drawing.WriteByte('\n')
	}
	return drawing.String(), nil
}

// PNG returns a picture of text as a QR code.
func PNG(text string) ([]byte, error) {
	code, err := encode(text)
	if err != nil {
		return nil, err
	}
	side := code.side() * scale
	picture := image.NewPaletted(image.Rect(0, 0, side, side), color.Palette{color.White, color.Black})
	for y := range side {
		for x := range side {
			if code.dark(x/scale, y/scale) {
				picture.SetColorIndex(x, y, 1)
			}
		}
	}
	var file bytes.Buffer
	if err := png.Encode(&file, picture); err != nil {
		return nil, fmt.Errorf("cannot encode the QR code as PNG: %w", err)
	}
	return file.Bytes(), nil
}

// Path returns what a QR code of text looks like as the data of an SVG path, in units of modules, and the
// side of the square that it is in. The path fills the dark modules; the light ones, and the border, must be
// drawn by a background.
func Path(text string) (data string, side int, err error) {
	code, err := encode(text)
	if err != nil {
		return "", 0, err
	}
	var path strings.Builder
	side = code.side()
	for y := range side {
		for x := 0; x < side; x++ {
			from := x
			for code.dark(x, y) {
				x++
			}
			if x > from {
				fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", from, y, x-from, x-from)
			}
		}
	}
	return path.String(), side, nil
}

// A symbol is a QR code with its quiet zone.
type symbol struct{ modules barcode.Barcode }

// encode makes the smallest symbol. Level L, which survives the loss of 7 %, is enough: nothing of a
// screen gets lost, and fewer modules are larger ones.
func encode(text string) (symbol, error) {
	modules, err := qr.Encode(text, qr.L, qr.Unicode)
	if err != nil {
		// That it is too long is the only reason. The library's own words may quote the text, a secret.
		return symbol{}, fmt.Errorf("%d bytes are too many for a QR code", len(text))
	}
	return symbol{modules}, nil
}

// side is the length of a side, in modules.
func (s symbol) side() int { return s.modules.Bounds().Dx() + 2*quiet }

// dark reports whether a module is dark; the quiet zone and all beyond it are not.
func (s symbol) dark(x, y int) bool {
	at := image.Pt(x-quiet, y-quiet)
	return at.In(s.modules.Bounds()) && s.modules.At(at.X, at.Y) == color.Black
}
