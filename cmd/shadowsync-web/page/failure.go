package page

import (
	"errors"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/shadowsync/shadowsync/internal/term/printable"
	"github.com/shadowsync/shadowsync/shadowsync/web"
)

// A problem is what the person can do something about: it is shown beside a field, above a form, or on a
// page of its own.
type problem struct {
	Status      int
	Form, Field string // ids; empty: of the whole page, of the whole form
	Text        string
}

func (p problem) Error() string { return p.Text }

// of is the text of a problem that is about a whole form.
func (p problem) of(formID string) string {
	if p.Form == formID && p.Field == "" {
		return p.Text
	}
	return ""
}

// elsewhere is an "error" of who must go on at another place.
type elsewhere string

func (e elsewhere) Error() string { return "go on at " + string(e) }

func (v *visit) goTo(path string) error { return elsewhere(path) }

// statuses are those of the daemon's refusals.
var statuses = map[web.Kind]int{
	web.Failed:           http.StatusInternalServerError,
	web.Usage:            http.StatusBadRequest,
	web.Conflict:         http.StatusConflict,
	web.NoAccount:        http.StatusNotFound,
	web.Policy:           http.StatusUnprocessableEntity,
	web.NotAuthenticated: http.StatusForbidden,
	web.CodeRefused:      http.StatusForbidden,
	web.NotPermitted:     http.StatusForbidden,
	web.TooMany:          http.StatusTooManyRequests,
	web.Unavailable:      http.StatusServiceUnavailable,
}

// fields says which field a kind of refusal is about; the others are about the whole form.
type fields map[web.Kind]string

// refused turns an error into the problem of a form, if the person can try again in it.
func (v *visit) refused(err error, formID string, of fields) (problem, bool) {
	if p, ok := errors.AsType[problem](err); ok {
		return p, true
	}
	refusal, ok := errors.AsType[*web.Error](err)
	if !ok || errors.Is(err, web.ErrUnknownOutcome) {
		return problem{}, false
	}
	switch refusal.Kind {
	case web.SignedOut, web.StepNeeded, web.Unavailable:
		return problem{}, false
	}
	status, ok := statuses[refusal.Kind]
	if !ok {
		return problem{}, false
	}
	return problem{status, formID, of[refusal.Kind], v.sentence(refusal.Text)}, true
}

// again shows a form's page again with the problem; other errors are not the form's.
func (v *visit) again(err error, formID string, of fields, show func(problem) error) error {
	if p, ok := v.refused(err, formID, of); ok {
		return show(p)
	}
	return err
}

// sentence makes one of an error's text. It may begin with the name of an account.
func (v *visit) sentence(text string) string {
	text = printable.Quote(text)
	first, _, _ := strings.Cut(text, " ")
	if first != v.person.Name && first != v.r.PathValue("name") && !strings.HasSuffix(first, ":") {
		letter, size := utf8.DecodeRuneInString(text)
		text = string(unicode.ToUpper(letter)) + text[size:]
	}
	if text != "" && !strings.ContainsAny(text[len(text)-1:], ".!?") {
		text += "."
	}
	return text
}

// pending takes the "refusal" that a change was made on the OS side alone. It is a note, not a failure.
func (v *visit) pending(r web.Result, err error) (web.Result, bool, error) {
	refusal, ok := errors.AsType[*web.Error](err)
	if !ok || refusal.Kind != web.Pending || errors.Is(err, web.ErrUnknownOutcome) {
		return r, false, err
	}
	r.Notes = append(r.Notes, v.sentence(refusal.Text))
	return r, true, nil
}

// fail answers with the page of an error.
func (v *visit) fail(err error) {
	if to, ok := errors.AsType[elsewhere](err); ok {
		http.Redirect(v.w, v.r, string(to), http.StatusSeeOther)
		return
	}
	refusal, isRefusal := errors.AsType[*web.Error](err)
	switch {
	case errors.Is(err, web.ErrUnknownOutcome):
		v.message(http.StatusServiceUnavailable, unknownOutcome)
	case isRefusal && (refusal.Kind == web.SignedOut || refusal.Kind == web.StepNeeded):
		http.Redirect(v.w, v.r, "/sign-in", http.StatusSeeOther)
	case isRefusal && refusal.Kind == web.Unavailable, v.ctx != nil && v.ctx.Err() != nil:
		v.site.Unreachable()
		v.message(http.StatusServiceUnavailable, down)
	default:
		p, known := v.refused(err, "", nil)
		if !known {
			v.site.Log.Error("cannot answer a request", "page", v.r.Pattern, "error", printable.Clip(err.Error(), 300))
			p = problem{Status: http.StatusInternalServerError}
		}
		v.problemPage(p)
	}
}
