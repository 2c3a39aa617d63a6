package page

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"path"
	"runtime/debug"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/internal/term/plural"
	"github.com/shadowsync/shadowsync/internal/term/printable"
	"github.com/shadowsync/shadowsync/shadowsync/web"
)

//go:embed templates/*.html
var sources embed.FS

//go:embed style.css
var style []byte

//go:embed icon.svg
var icon []byte

// A view is what a template shows.
type view struct {
	Title   string
	Problem problem
	Done    string   // a line that says what was done
	Notes   []string // further lines about it
	Data    any

	// These are filled in by show.
	Node   string
	Path   string
	Person web.Person
}

// In reports whether somebody is signed in, with all steps done.
func (v view) In() bool { return v.Person.Name != "" && v.Person.Next == web.NextNone }

// Steps reports whether somebody is between the steps of signing in.
func (v view) Steps() bool { return v.Person.Next != web.NextNone }

// Admin reports whether an administrator is signed in.
func (v view) Admin() bool { return v.In() && v.Person.Role == web.RoleAdmin }

// Here reports whether this page belongs to a part of the navigation.
func (v view) Here(part string) bool { return v.Path == part || strings.HasPrefix(v.Path, part+"/") }

type navLink struct {
	Path, Text string
	Here       bool
}

var functions = template.FuncMap{
	"clock":    clock,
	"code":     codeField,
	"codeHint": codeHint,
	"focusIf":  focusIf,
	"groups":   groups,
	"link":     func(path, text string, here bool) navLink { return navLink{path, text, here} },
	"many":     func(n int, one string) string { return plural.Count(n, one) },
	"of":       func(p problem, formID string) string { return p.of(formID) },
	"password": passwordField,
	"plain":    textField,
	"proof":    proofField,
	"shown":    printable.Quote, // for names and texts of the system: no control or bidi characters
	"textcode": anyCodeField,
	"stamp":    func(t time.Time) string { return t.Format(time.RFC3339) },
	"userPath": userPath,
}

// pages are the templates by name. Each has the frame and the parts of all.
var pages = parse()

func parse() map[string]*template.Template {
	frame := template.Must(template.New("frame").Funcs(functions).ParseFS(sources, "templates/frame.html", "templates/parts.html"))
	all := map[string]*template.Template{}
	names, err := sources.ReadDir("templates")
	if err != nil {
		panic(err) // embedded
	}
	for _, one := range names {
		if name := one.Name(); name != "frame.html" && name != "parts.html" {
			copied := template.Must(frame.Clone())
			all[strings.TrimSuffix(name, path.Ext(name))] = template.Must(copied.ParseFS(sources, "templates/"+name))
		}
	}
	return all
}

// show answers with a page. A problem has its own status.
func (v *visit) show(name string, shown view) error {
	shown.Node, shown.Path, shown.Person = v.site.Settings().Node, v.r.URL.Path, v.person
	var text bytes.Buffer
	if err := pages[name].ExecuteTemplate(&text, "frame.html", shown); err != nil {
		return fmt.Errorf("cannot make the page %s: %w", name, err)
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	status := http.StatusOK
	if shown.Problem.Status != 0 {
		status = shown.Problem.Status
	}
	if status == http.StatusTooManyRequests {
		v.w.Header().Set("Retry-After", "30")
	}
	v.w.WriteHeader(status)
	_, _ = v.w.Write(text.Bytes()) // the browser is gone
	return nil
}

// A message is a page that only says something.
type message struct {
	Title  string
	Lines  []string
	To     string // the link to go on
	ToText string
}

var (
	down = message{
		"shadowsync does not answer",
		[]string{"The page cannot reach the shadowsync service of this machine. Nothing was changed.", "Try again in a minute. If it stays like this, tell an administrator."},
		"/profile", "Try again",
	}
	unknownOutcome = message{
		"It is not known whether this was done",
		[]string{
			"shadowsync was interrupted before it could say so: the change was made, or it was not.",
			"Sign in again to see which. If you changed your password, try the new one first, then the old one.",
		},
		"/sign-in", "Sign in",
	}
)

func (v *visit) message(status int, m message) {
	if err := v.show("message", view{Title: m.Title, Data: m, Problem: problem{Status: status}}); err != nil {
		v.broken(err)
	}
}

// texts of statuses for people.
var texts = map[int]message{
	http.StatusBadRequest:            {Title: "The form cannot be read", Lines: []string{"Nothing was changed. Go back and try again."}},
	http.StatusForbidden:             {Title: "Not permitted"},
	http.StatusNotFound:              {Title: "There is no such page"},
	http.StatusMethodNotAllowed:      {Title: "This page takes no such request"},
	http.StatusRequestEntityTooLarge: {Title: "The form is too large", Lines: []string{"Nothing was changed."}},
	http.StatusUnsupportedMediaType:  {Title: "The form cannot be read", Lines: []string{"Nothing was changed."}},
	http.StatusTooManyRequests:       {Title: "Too many requests", Lines: []string{"Wait half a minute, then try again."}},
	http.StatusInternalServerError:   {Title: "Something went wrong", Lines: []string{"The page could not be made. An administrator finds more in the journal of the machine."}},
}

// problemPage is for a problem without a form.
func (v *visit) problemPage(p problem) {
	m, ok := texts[p.Status]
	if !ok {
		m = message{Title: "This was not done"}
	}
	if p.Text != "" {
		m.Lines = []string{p.Text}
	}
	m.To, m.ToText = "/profile", "Go to your profile"
	v.message(p.Status, m)
}

// broken is the last resort, without a template.
func (v *visit) broken(err error) {
	v.site.Log.Error("cannot show a page", "page", v.r.Pattern, "error", printable.Clip(err.Error(), 300))
	http.Error(v.w, "Something went wrong. The page could not be made.", http.StatusInternalServerError)
}

func (v *visit) file(kind string, content []byte) error {
	v.w.Header().Set("Content-Type", kind)
	_, _ = v.w.Write(content)
	return nil
}

// always answers with the same problem, whoever asks.
func (s *Site) always(p problem) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		(&visit{site: s, w: w, r: r}).problemPage(p)
	})
}

// policy lets a page load its style sheet and its icon, and send its forms here. Everything else is denied:
// scripts, frames, content from elsewhere, in both directions.
const policy = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// guard sets the headers that every answer carries, also one that is made by others. Strict-Transport-Security
// is not among them: it holds for all ports of the host, and would shut out people from an appliance's own
// pages that speak plain HTTP. The cookie goes over TLS alone.
func guard(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	h.Set("X-Robots-Tag", "noindex")
}

// guarded sets the headers, and answers for a handler that panics.
func (s *Site) guarded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		guard(w.Header())
		defer func() {
			if p := recover(); p != nil {
				// Not what it panicked with: that may quote what the person typed.
				s.Log.Error("a page panicked", "page", r.Pattern, "stack", string(debug.Stack()))
				s.always(problem{Status: http.StatusInternalServerError}).ServeHTTP(w, r)
			}
		}()
		h.ServeHTTP(w, r)
	})
}

// clock formats a time in the machine's time zone.
func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04")
}

// groups breaks a setup key into groups of four, for typing.
func groups(key string) string {
	key = strings.ReplaceAll(key, " ", "")
	var b strings.Builder
	for i, c := range key {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(c)
	}
	return b.String()
}

// TooMany refuses a request that came too soon after others. It is made once, because it must cost nothing.
func (s *Site) TooMany() http.Handler {
	m := texts[http.StatusTooManyRequests]
	var text bytes.Buffer
	err := pages["message"].ExecuteTemplate(&text, "frame.html", view{Title: m.Title, Data: m})
	if err != nil {
		panic(err) // a template is wrong
	}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		guard(w.Header())
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Retry-After", "30")
		w.Header().Set("Connection", "close") // its body, which may be long, is not read
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = w.Write(text.Bytes())
	})
}
