package scenes

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	chromium "github.com/shadowsync/shadowsync/internal/test/machine/browser"
)

// pictures names a folder for a person who wants to look at the pages: with it, every page is put there as PNGs.
var pictures = os.Getenv("SHADOWSYNC_PICTURES")

// looksAt asserts that a page can be read and used in every size and colour, by everybody.
func (w *site) looksAt(v *chromium.Visitor, name string) {
	w.t.Helper()
	w.seen[name] = true
	for _, width := range chromium.Widths {
		for _, dark := range []bool{false, true} {
			v.Look(width, dark)
			if over := v.Overflow(); over > 0 {
				w.t.Errorf("%s is %d pixels wider than a window of %d", name, over, width)
			}
			if pictures != "" {
				w.keeps(v.Screenshot(), fmt.Sprintf("%s-%d-%s.png", strings.ReplaceAll(name, " ", "-"), width, map[bool]string{false: "light", true: "dark"}[dark]))
			}
		}
	}
	for _, dark := range []bool{false, true} {
		v.Look(chromium.Widths[0], dark)
		if found := v.Violations(); len(found) > 0 {
			w.t.Errorf("%s, dark: %t: axe-core finds\n%s", name, dark, strings.Join(found, "\n"))
		}
	}
	v.Look(chromium.Widths[2], false)
	w.worksByKeyboard(v, name)
}

// worksByKeyboard asserts that Tab reaches every control, in their order, and shows where it is.
func (w *site) worksByKeyboard(v *chromium.Visitor, name string) {
	w.t.Helper()
	controls := v.Controls()
	reached, unseen := v.Stops()
	if !slices.Equal(reached, controls) {
		w.t.Errorf("%s: Tab reaches\n%s\nand the controls are\n%s", name, strings.Join(reached, "\n"), strings.Join(controls, "\n"))
	}
	if len(unseen) > 0 {
		w.t.Errorf("%s: nothing shows the focus of %q", name, unseen)
	}
}

// keeps puts a picture into the folder.
func (w *site) keeps(picture []byte, name string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(pictures, name), picture, 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// signsInByKeyboard: keys alone sign somebody in.
func (w *site) signsInByKeyboard() {
	w.t.Helper()
	v := w.visit()
	if at := v.Focus(); !strings.Contains(at, "[username]") {
		w.t.Errorf("keys go to %s", at)
	}
	v.Keys("user222")
	v.Tab()
	v.Keys(oldPassword)
	v.Enter()
	v.At("/profile")
	v.Submit("sign-out")
}
