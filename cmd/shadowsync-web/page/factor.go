package page

import (
	"bytes"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/internal/factor/guide"
	"github.com/shadowsync/shadowsync/internal/factor/qr"
	"github.com/shadowsync/shadowsync/internal/term/plural"
	"github.com/shadowsync/shadowsync/internal/term/printable"
	"github.com/shadowsync/shadowsync/shadowsync/web"
)

// lostData: Mailed says that a code was mailed, and Note where to, once.
type lostData struct {
	Mailed bool
	Note   string
}

func (v *visit) lostPage() error { return v.showLost("", problem{}) }

func (v *visit) showLost(note string, p problem) error {
	mailed := v.person.Next == web.NextMailed
	title := "Lost your authenticator?"
	if mailed {
		title = "Enter the code from the mail"
	}
	return v.show("lost", view{Title: title, Problem: p, Data: lostData{mailed, note}})
}

// lost has a code mailed, or takes it.
func (v *visit) lost() error {
	again := func(p problem) error { return v.showLost("", p) }
	if v.form.get("code") == nil {
		mailed, err := v.login.Lost(v.ctx)
		if err != nil {
			return v.again(err, "lost", nil, again)
		}
		v.take(mailed.Signed)
		note := "A code is on its way to " + printable.Quote(mailed.Address) + ". It is valid for ten minutes."
		if mailed.Note != "" {
			note = v.sentence(mailed.Note)
		}
		return v.showLost(note, problem{})
	}
	return v.regain("lost", again)
}

// regain takes a mailed code, or the enrolment code that it gave.
func (v *visit) regain(formID string, again func(problem) error) error {
	code, err := v.code(formID, "code")
	if err != nil {
		return v.again(err, formID, nil, again)
	}
	setup, err := v.login.Regain(v.ctx, code)
	if err != nil {
		return v.again(err, formID, fields{web.CodeRefused: "code"}, again)
	}
	return v.showSetup(setup)
}

// factorData: Few is a warning that few recovery codes are left.
type factorData struct{ Few string }

func (v *visit) factorPage() error {
	if v.person.Next == web.NextConfirm {
		return v.showConfirm(problem{})
	}
	return v.showFactor(problem{})
}

func (v *visit) showFactor(p problem) error {
	title := "Second factor"
	switch v.person.Next {
	case web.NextEnrolment:
		title = "Enrol a new second factor"
	case web.NextEnrol:
		title = "Enrol a second factor"
	}
	return v.show("factor", view{Title: title, Problem: p, Data: factorData{few(v.person)}})
}

// few says it if few recovery codes are left.
func few(p web.Person) string {
	if p.Factor != web.FactorEnrolled || guide.Few(p.CodesLeft, "") == "" {
		return ""
	}
	return "Only " + plural.Count(p.CodesLeft, "recovery code") + " left."
}

// factor begins an enrolment, or ends it with a first code of the new app.
func (v *visit) factor() error {
	const id = "enrol"
	if v.form.get("code") != nil {
		return v.confirm()
	}
	shown, err := v.proof(id)
	if err != nil {
		return v.again(err, id, nil, v.showFactor)
	}
	var enrolment *web.Secret
	if v.form.get("enrolment") != nil {
		if enrolment, err = v.code(id, "enrolment"); err != nil {
			return v.again(err, id, nil, v.showFactor)
		}
	}
	setup, err := v.login.Enrol(v.ctx, shown, enrolment)
	if err != nil {
		about := fields{web.NotAuthenticated: "proof", web.CodeRefused: "proof"}
		if enrolment != nil {
			about[web.CodeRefused] = "enrolment"
		}
		return v.again(err, id, about, v.showFactor)
	}
	return v.showSetup(setup)
}

type setupData struct {
	web.Setup
	Drawing string // of the QR code: see package qr
	Side    int
}

// showSetup shows what the app needs, this once.
func (v *visit) showSetup(s web.Setup) error {
	v.take(s.Signed)
	drawing, side, err := qr.Path(s.Address)
	if err != nil {
		drawing = "" // the key alone will do
	}
	return v.show("setup", view{Title: "Set up your authenticator", Data: setupData{s, drawing, side}})
}

func (v *visit) showConfirm(p problem) error {
	return v.show("confirm", view{Title: "Confirm your authenticator", Problem: p})
}

func (v *visit) confirm() error {
	code, err := v.code("confirm", "code")
	if err != nil {
		return v.again(err, "confirm", nil, v.showConfirm)
	}
	confirmed, err := v.login.Confirm(v.ctx, code)
	if err != nil {
		return v.again(err, "confirm", fields{web.CodeRefused: "code"}, v.showConfirm)
	}
	return v.showCodes("Your second factor is enrolled.", confirmed)
}

type codesData struct {
	Codes  []string
	Packed string // for the download
	To     string // where to go on
	Name   string
}

// showCodes shows new recovery codes, this once.
func (v *visit) showCodes(done string, c web.Confirmed) error {
	v.take(c.Signed)
	shown := view{Title: "Your recovery codes", Done: done, Data: codesData{c.Recovery, strings.Join(c.Recovery, " "), place(v.person.Next), v.person.Name}}
	if c.Note != "" {
		shown.Notes = []string{v.sentence(c.Note)}
	}
	return v.show("codes", shown)
}

func (v *visit) codesPage() error { return v.showRenew(problem{}) }

func (v *visit) showRenew(p problem) error {
	return v.show("renew", view{Title: "New recovery codes", Problem: p})
}

func (v *visit) renewCodes() error {
	code, err := v.code("renew-codes", "code")
	if err != nil {
		return v.again(err, "renew-codes", nil, v.showRenew)
	}
	confirmed, err := v.login.RenewCodes(v.ctx, code)
	if err != nil {
		return v.again(err, "renew-codes", fields{web.CodeRefused: "code"}, v.showRenew)
	}
	return v.showCodes("These codes replace the old ones, which are void now.", confirmed)
}

// codeForm is what the download takes: nothing but codes, so that it is no way to have this host offer
// another text as a file.
var codeForm = regexp.MustCompile(`^[A-Za-z0-9-]{4,40}$`)

// mostCodes is more than there are in a set.
const mostCodes = 32

// downloadCodes sends the codes back that the browser has, as a file: nothing here keeps them. A link with
// the codes in its address would put them into the browser's history.
func (v *visit) downloadCodes() error {
	codes := bytes.Fields(v.form.get("codes"))
	if len(codes) == 0 || len(codes) > mostCodes || slices.ContainsFunc(codes, func(c []byte) bool { return !codeForm.Match(c) }) {
		return problem{Status: http.StatusBadRequest}
	}
	head := fmt.Sprintf("Recovery codes of %s on %s, made %s.\r\nEach works once, instead of a code of the authenticator.\r\n\r\n",
		v.person.Name, v.site.Settings().Node, time.Now().Local().Format(time.DateOnly))
	v.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	v.w.Header().Set("Content-Disposition", `attachment; filename="recovery-codes.txt"`)
	_, _ = v.w.Write([]byte(head))
	for _, code := range codes {
		_, _ = v.w.Write(slices.Concat(code, []byte("\r\n")))
	}
	return nil
}
