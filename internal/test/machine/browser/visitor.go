package browser

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// patience limits each step of a visitor. A step that waits for what the page lacks ends the test then.
const patience = 30 * time.Second

// A Visitor is a person at a window of their own. A failure ends the test, and shows what the window shows.
type Visitor struct {
	tb      machine.TB
	m       *machine.T
	context context.Context
	origin  string
	status  int
	headers network.Headers
}

// Visit opens a window. Paths are those of origin: a scheme, a host and perhaps a port.
func (b *Browser) Visit(tb machine.TB, origin string) *Visitor {
	tb.Helper()
	window, cancel := chromedp.NewContext(b.context, chromedp.WithNewBrowserContext())
	tb.Cleanup(cancel)
	v := &Visitor{tb: tb, m: b.m, context: window, origin: origin}
	// The first command opens the window, which lives as long as that command's context.
	if err := chromedp.Do(window); err != nil {
		tb.Fatalf("cannot open a window: %v", err)
	}
	v.scripts(false)
	return v
}

// For returns the visitor in a part of the test: its failures are the part's.
func (v *Visitor) For(tb machine.TB) *Visitor {
	same := *v
	same.tb = tb
	return &same
}

// From returns the same window, for pages of another origin.
func (v *Visitor) From(origin string) *Visitor {
	same := *v
	same.origin = origin
	return &same
}

// scripts says whether pages may run scripts from now on.
func (v *Visitor) scripts(may bool) {
	v.tb.Helper()
	call(v, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !may})
}

// Open goes to a path and returns the status of the page that is shown then.
func (v *Visitor) Open(path string) int {
	v.tb.Helper()
	response := run(v, chromedp.NavigateResponse(v.origin+path))
	return v.landed(response)
}

// Refused goes to a path that the browser must refuse to show, and returns its reason.
func (v *Visitor) Refused(path string) string {
	v.tb.Helper()
	ctx, cancel := context.WithTimeout(v.context, patience)
	defer cancel()
	err := chromedp.Do(ctx, chromedp.Navigate(v.origin+path))
	if err == nil {
		v.Fatalf("the browser shows %s", path)
	}
	return err.Error()
}

// Type types text into a field of a form, in place of what it held. The form is known by its id, the field by its name.
func (v *Visitor) Type(form, field, text string) {
	v.tb.Helper()
	at := chromedp.CSS(fmt.Sprintf("form#%s [name=%q]", form, field))
	v.do(chromedp.Clear(at), chromedp.SendKeys(at, text))
}

// Submit types into fields of a form, given as names and texts by turns, and presses its button. It returns the status
// of the page that is shown then.
func (v *Visitor) Submit(form string, fields ...string) int {
	v.tb.Helper()
	for i := 0; i+1 < len(fields); i += 2 {
		v.Type(form, fields[i], fields[i+1])
	}
	return v.Click("form#" + form + " button:not([type=button])")
}

// Click clicks the first element of a CSS selector, which leads to another page, and returns its status.
func (v *Visitor) Click(selector string) int {
	v.tb.Helper()
	return v.leads(chromedp.Click(chromedp.CSS(selector)))
}

// leads runs an action that leads to another page.
func (v *Visitor) leads(action chromedp.Action[chromedp.Void]) int {
	v.tb.Helper()
	ctx, cancel := context.WithTimeout(v.context, patience)
	defer cancel()
	response, err := chromedp.RunResponse(ctx, action)
	if err != nil {
		v.Fatalf("%v", err)
	}
	return v.landed(response)
}

func (v *Visitor) landed(response *network.Response) int {
	v.tb.Helper()
	if response == nil {
		v.Fatalf("no page came from the server")
	}
	v.status, v.headers = int(response.Status), response.Headers
	return v.status
}

// Status is the status of the page that is shown.
func (v *Visitor) Status() int { return v.status }

// Header is a header of the page that is shown.
func (v *Visitor) Header(name string) string {
	for header, value := range v.headers {
		if strings.EqualFold(header, name) {
			return fmt.Sprint(value)
		}
	}
	return ""
}

// Path is the path and the query of the page that is shown.
func (v *Visitor) Path() string {
	v.tb.Helper()
	at, err := url.Parse(run(v, chromedp.Location()))
	if err != nil {
		v.tb.Fatalf("%v", err)
	}
	return at.RequestURI()
}

// Has reports whether the page has an element of a CSS selector.
func (v *Visitor) Has(selector string) bool {
	v.tb.Helper()
	return eval[bool](v, fmt.Sprintf("document.querySelector(%q) !== null", selector))
}

// Text is the visible text of the first element of a CSS selector.
func (v *Visitor) Text(selector string) string {
	v.tb.Helper()
	if !v.Has(selector) {
		v.Fatalf("the page has no %s", selector)
	}
	return strings.TrimSpace(eval[string](v, fmt.Sprintf("document.querySelector(%q).innerText", selector)))
}

// Value is an attribute of the first element of a CSS selector.
func (v *Visitor) Value(selector, attribute string) string {
	v.tb.Helper()
	if !v.Has(selector) {
		v.Fatalf("the page has no %s", selector)
	}
	return eval[string](v, fmt.Sprintf("document.querySelector(%q).getAttribute(%q) ?? ''", selector, attribute))
}

// Sees asserts that the page shows a text.
func (v *Visitor) Sees(text string) {
	v.tb.Helper()
	if !strings.Contains(v.Text("body"), text) {
		v.Fatalf("the page does not show %q", text)
	}
}

// At asserts where the visitor is.
func (v *Visitor) At(path string) {
	v.tb.Helper()
	if at := v.Path(); at != path {
		v.Fatalf("the visitor is at %s, not at %s", at, path)
	}
}

// Cookies are what the browser keeps for the page.
func (v *Visitor) Cookies() []*network.Cookie {
	v.tb.Helper()
	return call(v, network.GetCookies, network.GetCookiesParams{URLs: []string{v.origin + "/"}}).Cookies
}

// SetCookie has the browser keep a cookie, as if the page had set it.
func (v *Visitor) SetCookie(name, value string) {
	v.tb.Helper()
	call(v, network.SetCookie, network.SetCookieParams{
		URL: v.origin + "/", Name: name, Value: value, Path: "/", Secure: new(true), HTTPOnly: new(true), SameSite: network.CookieSameSiteStrict,
	})
}

// Fatalf ends the test and shows what the window shows.
func (v *Visitor) Fatalf(format string, args ...any) {
	v.tb.Helper()
	ctx, cancel := context.WithTimeout(v.context, patience)
	defer cancel()
	at, _ := chromedp.Run(ctx, chromedp.Location())
	text, _ := chromedp.Run(ctx, chromedp.Evaluate[string]("document.body ? document.body.innerText : ''"))
	v.tb.Fatalf("%s\nat %s, status %d, which shows:\n%s", fmt.Sprintf(format, args...), at, v.status, text)
}

func (v *Visitor) do(actions ...chromedp.Action[chromedp.Void]) {
	v.tb.Helper()
	for _, action := range actions {
		run(v, action)
	}
}
