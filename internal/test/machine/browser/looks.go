package browser

import (
	_ "embed"
	"fmt"
	"strings"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// axe is axe-core 4.14.1: see axe/README.md.
//
//go:embed axe/axe.min.js
var axe string

// Widths are the sizes that pages are looked at in, in CSS pixels: a small phone, a tablet, a desk.
var Widths = []int{320, 768, 1440}

// Look sets the width of the window and whether the person prefers a dark page.
func (v *Visitor) Look(width int, dark bool) {
	v.tb.Helper()
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	v.do(chromedp.EmulateViewport(int64(width), 900))
	call(v, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
}

// Print has the page look as on paper, or again as on a screen.
func (v *Visitor) Print(paper bool) {
	v.tb.Helper()
	media := ""
	if paper {
		media = "print"
	}
	call(v, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: media})
}

// Screenshot is a PNG of the whole page.
func (v *Visitor) Screenshot() []byte {
	v.tb.Helper()
	return run(v, chromedp.FullScreenshot(100))
}

// Picture is a PNG of the first element of a CSS selector.
func (v *Visitor) Picture(selector string) []byte {
	v.tb.Helper()
	return run(v, chromedp.Screenshot(chromedp.CSS(selector)))
}

// Overflow is by how many CSS pixels the page is wider than the window.
func (v *Visitor) Overflow() int {
	v.tb.Helper()
	return eval[int](v, "document.documentElement.scrollWidth - document.documentElement.clientWidth")
}

// Violations are what axe-core finds wrong with the page for people who cannot see, hear or move well.
func (v *Visitor) Violations() []string {
	v.tb.Helper()
	v.scripts(true)
	defer v.scripts(false)
	eval[chromedp.Void](v, axe+";undefined")
	type finding struct {
		ID, Help string
		Nodes    []struct{ HTML, FailureSummary string }
	}
	result := run(v, chromedp.Evaluate[struct {
		Violations []finding
		Passes     int
	}](`axe.run().then(r => ({Violations: r.violations.map(v => ({ID: v.id, Help: v.help, Nodes: v.nodes.map(n => ({HTML: n.html, FailureSummary: n.failureSummary}))})), Passes: r.passes.length}))`,
		func(p *runtime.EvaluateParams) { p.AwaitPromise = new(true) }))
	if result.Passes == 0 {
		v.Fatalf("axe-core has looked at nothing")
	}
	var found []string
	for _, f := range result.Violations {
		var at []string
		for _, n := range f.Nodes {
			at = append(at, n.HTML+": "+n.FailureSummary)
		}
		found = append(found, fmt.Sprintf("%s (%s): %s", f.ID, f.Help, strings.Join(at, "; ")))
	}
	return found
}
