package page

import (
	"html/template"
	"strconv"

	"github.com/shadowsync/shadowsync/shadowsync/web"
)

// A field is an input of a form, with its label and its error.
type field struct {
	ID, Name, Label, Type, Autocomplete string
	Mode                                string // the keyboard of a phone
	Hint, Error, Value, Max             string
	Optional, Focus                     bool
}

// newField finds the field's error.
func newField(p problem, formID, name, label string) field {
	f := field{ID: formID + "-" + name, Name: name, Label: label, Type: "text", Autocomplete: "off"}
	if p.Form == formID && p.Field == name {
		f.Error, f.Focus = p.Text, true
	}
	return f
}

// textField is for what is no secret. The first word of further ones is "focus", "optional" or a hint.
func textField(p problem, formID, name, label, autocomplete, value string, further ...string) field {
	f := newField(p, formID, name, label)
	f.Autocomplete, f.Value, f.Max = autocomplete, value, "512"
	return f.with(p, further)
}

func passwordField(p problem, formID, name, label, autocomplete string, further ...string) field {
	f := newField(p, formID, name, label)
	f.Type, f.Autocomplete, f.Max = "password", autocomplete, strconv.Itoa(web.MaxPassword)
	return f.with(p, further)
}

// codeField is for digits alone: an authenticator's, or mailed.
func codeField(p problem, formID, name, label string, further ...string) field {
	f := anyCodeField(p, formID, name, label, further...)
	f.Mode = "numeric"
	return f
}

// anyCodeField also takes a recovery code, which has letters.
func anyCodeField(p problem, formID, name, label string, further ...string) field {
	f := newField(p, formID, name, label)
	f.Autocomplete, f.Max = "one-time-code", strconv.Itoa(web.MaxCode)
	return f.with(p, further)
}

// proofField is for what a change must carry.
func proofField(p problem, formID string, person web.Person) field {
	if proofOf(person) == web.ByCode {
		return anyCodeField(p, formID, "proof", "Your code", "From your authenticator, or a recovery code.")
	}
	return passwordField(p, formID, "proof", "Your current password", "current-password")
}

// with takes words for what is seldom said.
func (f field) with(p problem, further []string) field {
	for _, word := range further {
		switch word {
		case "focus": // unless something else is wrong
			f.Focus = f.Focus || p.Text == ""
		case "":
		case "optional":
			f.Optional = true
		default:
			f.Hint = word
		}
	}
	return f
}

// codeHint says which codes sign somebody in.
func codeHint(p web.Person) string {
	if p.Lost {
		return "From your authenticator, from a mail, or a recovery code."
	}
	return "From your authenticator, or a recovery code."
}

// focusIf is a word for with.
func focusIf(condition any) string {
	if yes, _ := template.IsTrue(condition); yes {
		return "focus"
	}
	return ""
}

// Described are the ids of what describes the field.
func (f field) Described() string {
	switch {
	case f.Hint != "" && f.Error != "":
		return f.ID + "-error " + f.ID + "-hint"
	case f.Error != "":
		return f.ID + "-error"
	case f.Hint != "":
		return f.ID + "-hint"
	}
	return ""
}
