package browser

import (
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// describe names an element, for people.
const describe = `(e => e.tagName.toLowerCase() + (e.id ? "#" + e.id : "") + (e.name ? "[" + e.name + "]" : "") +
	(e.form && e.form.id ? " of " + e.form.id : "") + (e.href ? " " + e.getAttribute("href") : "") + " " + e.innerText.trim().slice(0, 30))`

// Keys presses keys one after the other.
func (v *Visitor) Keys(keys string) {
	v.tb.Helper()
	v.do(chromedp.KeyEvent(keys))
}

// Tab goes to the next control.
func (v *Visitor) Tab() { v.tb.Helper(); v.Keys(kb.Tab) }

// Enter presses Enter, which leads to another page, and returns its status.
func (v *Visitor) Enter() int {
	v.tb.Helper()
	return v.leads(chromedp.KeyEvent(kb.Enter))
}

// Focus names the control that keys go to.
func (v *Visitor) Focus() string {
	v.tb.Helper()
	return eval[string](v, describe+"(document.activeElement)")
}

// Controls are the visible controls of the page, from its beginning to its end.
func (v *Visitor) Controls() []string {
	v.tb.Helper()
	return eval[[]string](v, `[...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']")]
		.filter(e => e.type !== "hidden" && e.checkVisibility()).map(`+describe+`)`)
}

// Stops are the controls that Tab reaches, in the order of the page's, and of them those that do not show that they have the
// focus.
func (v *Visitor) Stops() (reached, unseen []string) {
	v.tb.Helper()
	first := 0
	for range len(v.Controls()) + 1 { // past the last one, keys go to the browser's own controls
		v.Tab()
		if eval[bool](v, "document.activeElement === document.body") {
			first = len(reached)
			continue
		}
		at := v.Focus()
		reached = append(reached, at)
		if !eval[bool](v, `(s => s.outlineStyle !== "none" && parseFloat(s.outlineWidth) > 0 || s.boxShadow !== "none")(getComputedStyle(document.activeElement))`) {
			unseen = append(unseen, at)
		}
	}
	return append(reached[first:], reached[:first]...), unseen
}
