package page

import (
	"net/http"

	"github.com/shadowsync/shadowsync/shadowsync/web"
)

type profileData struct{ Few string }

func (v *visit) profile() error {
	title := v.person.FullName
	if title == "" {
		title = v.person.Name
	}
	return v.show("profile", view{Title: title, Data: profileData{few(v.person)}})
}

type mailData struct{ Address string } // what was typed

func (v *visit) mailPage() error { return v.showMail("", problem{}) }

func (v *visit) showMail(typed string, p problem) error {
	return v.show("mail", view{Title: "Mail address", Problem: p, Data: mailData{typed}})
}

// maxMail is the longest address of mail (RFC 5321, with the erratum on 4.5.3.1.3), in bytes.
const maxMail = 254

func (v *visit) setMail() error {
	address := v.form.text("address")
	again := func(p problem) error { return v.showMail(address, p) }
	if len(address) > maxMail {
		return v.showMail("", problem{http.StatusUnprocessableEntity, "mail", "address", "This is too long."})
	}
	code, err := v.code("mail", "code")
	if err != nil {
		return v.again(err, "mail", nil, again)
	}
	if err := v.login.SetMail(v.ctx, address, code); err != nil {
		return v.again(err, "mail", fields{web.CodeRefused: "code", web.Usage: "address"}, again)
	}
	done := "Your mail address is set."
	if address == "" {
		done = "Your mail address is removed."
	}
	person, err := v.login.Who(v.ctx)
	if err != nil {
		v.message(http.StatusOK, message{"Mail address", []string{done}, "/profile", "Go to your profile"})
		return nil //nolint:nilerr // it is done, whatever the daemon says now
	}
	v.person = person
	return v.show("mail", view{Title: "Mail address", Done: done, Data: mailData{}})
}
