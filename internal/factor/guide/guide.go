// Package guide is what people are told about their second factor, by whatever asks them: the operators'
// shell, a login, the root tool.
package guide

import (
	"bytes"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/internal/term/plural"
)

// The prompts. Whoever can have a code mailed is told of the word that asks for it.
const (
	AskCode      = "Verification code:"
	AskMailed    = "Code from the mail:"
	AskEnrolment = "Enrolment code:"
	// AskEither: an enrolment was begun after a reset. Either code leads on.
	AskEither = "Enrolment or verification code:"
	GoOn      = "Press Enter to go on:" // after a text that is shown once
)

// Reset is said to whoever must enrol anew.
const Reset = "Your second factor was reset. Enrol a new one with the enrolment code that you were given."

// Lost is what somebody without the authenticator types.
const Lost = "lost"

// IsLost reports whether somebody typed that.
func IsLost(typed []byte) bool { return bytes.EqualFold(bytes.TrimSpace(typed), []byte(Lost)) }

// A mailed code and an enrolment code have as many digits or letters, and no other code has.
const (
	mailedDigits     = 8
	enrolmentLetters = 20
)

// LeadsBack reports whether a code has the form of a mailed one, or of the enrolment code that it gave: either
// may be typed where a code of the authenticator is asked.
func LeadsBack(typed []byte) bool {
	digits, letters := 0, 0
	for _, c := range typed {
		switch {
		case '0' <= c && c <= '9':
			digits++
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
			letters++
		case c != ' ' && c != '-':
			return false
		}
	}
	return digits == mailedDigits && letters == 0 || letters == enrolmentLetters && digits == 0
}

// Or is a prompt that also takes the word.
func Or(prompt, word string) string { return strings.TrimSuffix(prompt, ":") + " (or '" + word + "'):" }

// Enrol is what somebody types who has no second factor and shall have one.
const Enrol = "enrol"

// IsEnrol reports whether somebody typed that.
func IsEnrol(typed []byte) bool { return bytes.EqualFold(bytes.TrimSpace(typed), []byte(Enrol)) }

// The prompts for that word.
const (
	AskEnrol    = "Type 'enrol' to enrol one now:"
	AskEnrolNow = "Type 'enrol' to enrol one now, or press Enter to go on:"
)

// Required says that somebody shall have a second factor, and from when on nothing else gets in.
func Required(until, now time.Time, must bool) string {
	text := "A second factor is required of this account"
	switch {
	case must:
		return text + "."
	case now.After(until):
		return text + ". You can go on without, because no other administrator has one."
	}
	return text + " from " + until.Local().Format("2006-01-02 15:04") + " on."
}

// Sent tells where a code was mailed to, or is being mailed to.
func Sent(address string, yet bool) string {
	what := "was sent"
	if !yet {
		what = "is on its way"
	}
	return "A code " + what + " to " + address + ". It is valid for ten minutes, also at the prompt for a code of a later login."
}

// Works is said to who sets up another authenticator.
const Works = "The old authenticator works until this is done."

// Setup is what an authenticator app needs. Enrolment is a code that begins the enrolment again; empty:
// there is none. People may type the key, so it comes before the drawing of the address.
func Setup(enrolment, key, drawn, address string) string {
	text := ""
	if enrolment != "" {
		text = Works + " If you are cut off now, type this enrolment code at the prompt for a code: " + enrolment + "\n"
	}
	return text + "Setup key: " + key + "\n" + drawn + "Address:   " + address + "\n" +
		"Add this account to your authenticator app, then enter the code that it shows.\n"
}

// Recovery shows new recovery codes.
func Recovery(codes []string) string {
	text := "Recovery codes: each works once, without the authenticator. They are not shown again.\n"
	for _, code := range codes {
		text += "    " + code + "\n"
	}
	return text
}

// few is how many recovery codes, or fewer, are worth a word.
const few = 3

// Few warns that few recovery codes are left, and says where to make new ones; "": there are enough.
func Few(left int, where string) string {
	if left > few {
		return ""
	}
	return plural.Count(left, "recovery code") + " left; " + where + " makes new ones"
}
