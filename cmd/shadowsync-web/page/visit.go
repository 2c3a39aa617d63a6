package page

import (
	"cmp"
	"context"
	"crypto/subtle"
	"errors"
	"io"
	"mime"
	"net/http"
	"regexp"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync/web"
)

// cookieName: browsers take a name with this prefix only from the host itself, over TLS, for all paths.
const cookieName = "__Host-shadowsync"

// How long the daemon may take for a page, and for a change: the daemon waits for PAM, for stores and for
// sessions to end.
const (
	pageTime   = 5 * time.Second
	changeTime = time.Minute
)

// maxForm bounds the body of a form, in bytes.
const maxForm = 64 << 10

// A visit is one request while it is answered.
type visit struct {
	site   *Site
	w      http.ResponseWriter
	r      *http.Request
	ctx    context.Context
	token  string
	login  web.Login
	person web.Person
	form   form
	// secrets are closed at the end.
	secrets []*web.Secret
}

func (v *visit) bounded() (context.Context, context.CancelFunc) {
	if v.r.Method == http.MethodPost {
		return context.WithTimeout(v.r.Context(), changeTime)
	}
	return context.WithTimeout(v.r.Context(), pageTime)
}

func (v *visit) end() {
	v.form.wipe()
	for _, s := range v.secrets {
		_ = s.Close()
	}
}

var tokenForm = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

// tokenOf returns the token of the cookie; empty: there is none, or several, or something else.
func tokenOf(r *http.Request) string {
	if all := r.CookiesNamed(cookieName); len(all) == 1 && tokenForm.MatchString(all[0].Value) {
		return all[0].Value
	}
	return ""
}

// take goes on with the token of a step. The browser forgets it when it is closed; the daemon ends the
// session earlier, if it is not used.
func (v *visit) take(s web.Signed) {
	if s.Token == "" {
		return
	}
	v.token, v.login = s.Token, v.site.Client.With(s.Token)
	if v.person.Next != web.NextNone { // who is signed in stays it, also while a second factor is enrolled
		v.person.Next, v.person.Lost = s.Next, s.Lost
	}
	http.SetCookie(v.w, cookie(s.Token, 0))
}

// forget removes the cookie.
func (v *visit) forget() {
	v.token, v.person = "", web.Person{}
	http.SetCookie(v.w, cookie("", -1))
}

func cookie(token string, age int) *http.Cookie {
	return &http.Cookie{Name: cookieName, Value: token, MaxAge: age, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode}
}

// read takes the form of the request.
func (v *visit) read() error {
	if kind, _, err := mime.ParseMediaType(v.r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return problem{Status: http.StatusUnsupportedMediaType}
	}
	v.site.Secret()
	body, err := readBody(http.MaxBytesReader(v.w, v.r.Body, maxForm), v.r.ContentLength)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return problem{Status: http.StatusRequestEntityTooLarge}
	case err != nil:
		return problem{Status: http.StatusBadRequest}
	}
	if v.form, err = parseForm(body); err != nil {
		clear(body)
		return problem{Status: http.StatusBadRequest}
	}
	return nil
}

// readBody reads into memory of the right size: a growing slice would leave copies of passwords behind.
func readBody(from io.Reader, length int64) ([]byte, error) {
	if length < 0 || length > maxForm {
		length = maxForm
	}
	body := make([]byte, length+1) // one more, to see the end
	n, err := io.ReadFull(from, body)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return body[:n], nil
	}
	clear(body)
	return nil, cmp.Or(err, io.ErrShortBuffer)
}

// secret takes a field that must be there, as a password or a code of at most most bytes. The problem is of
// this field.
func (v *visit) secret(formID, field string, most int, missing string) (*web.Secret, error) {
	text := v.form.get(field)
	switch {
	case len(text) == 0:
		return nil, problem{Status: http.StatusUnprocessableEntity, Form: formID, Field: field, Text: missing}
	case len(text) > most:
		return nil, problem{Status: http.StatusUnprocessableEntity, Form: formID, Field: field, Text: "This is too long."}
	}
	s, err := web.NewSecret(text)
	if err == nil {
		v.secrets = append(v.secrets, s)
	}
	return s, err
}

func (v *visit) password(formID, field, missing string) (*web.Secret, error) {
	return v.secret(formID, field, web.MaxPassword, missing)
}

func (v *visit) code(formID, field string) (*web.Secret, error) {
	return v.secret(formID, field, web.MaxCode, "Enter the code.")
}

// proof takes what the daemon wants to see of the person before a change.
func (v *visit) proof(formID string) (shown web.Shown, err error) {
	shown.By = proofOf(v.person)
	if shown.By == web.ByCode {
		shown.Secret, err = v.code(formID, "proof")
	} else {
		shown.Secret, err = v.password(formID, "proof", "Enter your current password.")
	}
	return shown, err
}

// proofOf: without a second factor, and before it is known, the password is the proof.
func proofOf(p web.Person) web.Proof { return cmp.Or(p.Proof, web.ByPassword) }

// same compares two fields.
func (v *visit) same(one, other string) bool {
	return subtle.ConstantTimeCompare(v.form.get(one), v.form.get(other)) == 1
}
