package pamworker

import (
	"cmp"
	"errors"
	"os"
	"testing"

	"github.com/msteinert/pam/v2"
)

// line is something that a stack says, and the expected answer.
type line struct {
	style  pam.Style
	text   string
	answer string
	fails  bool
}

func TestConversation(t *testing.T) {
	const ask, wrong, info = pam.PromptEchoOff, pam.ErrorMsg, pam.TextInfo
	tests := []struct {
		name      string
		c         conversation
		lines     []line
		complaint string
		again     bool
	}{
		{"pam_unix proves", conversation{current: "old"}, []line{{ask, "Password: ", "old", false}}, "", false},
		{"faillock tells", conversation{current: "old"}, []line{{info, "The account is locked due to 3 failed logins.", "", false}}, "The account is locked due to 3 failed logins.", false},
		{"a good one", conversation{current: "old", new: "new", changing: true}, []line{
			{info, "Changing password for admin.", "", false},
			{ask, "Current password: ", "old", false},
			{ask, "New password: ", "new", false},
			{ask, "Retype new password: ", "new", false},
			{info, "shadowsync: admin: persisted in conductor's credential store", "", false},
		}, "", false},
		{"old words", conversation{current: "old", new: "new", changing: true}, []line{
			{ask, "(current) UNIX password: ", "old", false}, {ask, "Enter new UNIX password: ", "new", false}, {ask, "Retype new UNIX password: ", "new", false},
		}, "", false},
		{"a weak one", conversation{current: "old", new: "new", changing: true}, []line{
			{ask, "Current password: ", "old", false},
			{ask, "New password: ", "new", false},
			{wrong, "BAD PASSWORD: it is too short", "", false},
			{ask, "New password: ", "", true},
			{wrong, "Password change has been aborted.", "", false},
		}, "BAD PASSWORD: it is too short", true},
		{"a second module asks", conversation{current: "old", new: "new", changing: true}, []line{
			{ask, "(current) LDAP Password: ", "old", false},
			{ask, "New password: ", "new", false},
			{ask, "Retype new password: ", "new", false},
			{ask, "New password: ", "new", false},
			{ask, "Reenter new Password: ", "new", false},
			{ask, "New password: ", "", true},
		}, "", true},
		{"it asks again before the repetition", conversation{new: "new", changing: true}, []line{
			{ask, "New password: ", "new", false}, {ask, "New password: ", "", true},
		}, "", true},
		{"a weak one for root", conversation{new: "new", changing: true, strict: true}, []line{
			{ask, "New password: ", "new", false}, {wrong, "BAD PASSWORD: it is too short", "", false}, {ask, "Retype new password: ", "", true},
		}, "BAD PASSWORD: it is too short", true},
		{"too early", conversation{current: "old", new: "new", changing: true}, []line{
			{ask, "Current password: ", "old", false}, {wrong, "You must wait longer to change your password.", "", false},
		}, "You must wait longer to change your password.", false},
		{"a new one that comes later", conversation{current: "old", changing: true, later: func() (string, error) { return "new", nil }}, []line{
			{ask, "Current password: ", "old", false},
			{ask, "New password: ", "new", false},
			{ask, "Retype new password: ", "new", false},
			{wrong, "BAD PASSWORD: it is too simple", "", false},
			{ask, "New password: ", "", true},
		}, "BAD PASSWORD: it is too simple", true},
		{"a new one that does not come", conversation{current: "old", changing: true, later: func() (string, error) { return "", os.ErrClosed }}, []line{
			{ask, "Current password: ", "old", false}, {ask, "New password: ", "", true},
		}, "", false},
		{"no current one for root's", conversation{new: "new", changing: true}, []line{{ask, "Current password: ", "", true}}, "", false},
		{"another factor", conversation{current: "old"}, []line{{pam.PromptEchoOn, "One-time code: ", "", true}}, "", false},
		{"another secret", conversation{current: "old"}, []line{{ask, "PIN: ", "", true}}, "", false},
		{"a new one out of turn", conversation{current: "old"}, []line{{ask, "New password: ", "", true}}, "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.c.weak = make(chan string, 1)
			for _, l := range tt.lines {
				answer, err := tt.c.RespondPAM(l.style, l.text)
				if answer != l.answer || (err != nil) != l.fails {
					t.Errorf("%q is answered %q, %v", l.text, answer, err)
				}
			}
			if tt.c.complaint != tt.complaint || errors.Is(tt.c.cause, errAsksAgain) != tt.again {
				t.Errorf("complaint %q, cause %v", tt.c.complaint, tt.c.cause)
			}
			if tt.again && <-tt.c.weak != cmp.Or(tt.complaint, errAsksAgain.Error()) {
				t.Error("the complaint was not told at once")
			}
		})
	}
}
