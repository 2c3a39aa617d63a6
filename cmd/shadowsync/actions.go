package main

import "strings"

// actions explains the words that the audit, sync and history use for what was done. The help of
// audit and its man page print it.
var actions = [][2]string{
	{"baseline", "both sides' values were taken as belonging together, when the account was first seen"},
	{"agreed", "both sides had changed to the same value"},
	{"adopted", "the OS's value was written into the store"},
	{"adopted-again", "the application wrote its old value over the new one; the new one was written again"},
	{"applied", "the store's value was written into the OS"},
	{"renewed", "the store got a new hash of the same password, in a format that its application can verify"},
	{"rolled-back", "an older image was put back, and the rule for that decided"},
	{"pending", "the store was not available; it is written as soon as it is"},
	{"needs-login", "the store takes another hash format, which the next login or password change gives it"},
	{"missing", "the account is gone on one side; nothing was deleted or created"},
	{"refused", "the store, or a rule, does not take the value"},
	{"conflict", "the sides differ, and a person must decide"},
	{"preferred", "a person decided a conflict, with sync --prefer"},
	{"withdrawn", "a waiting change was taken back"},
	{"attributed", "who made an earlier recorded change became known afterwards"},
	{"judged", "a new password was checked against the rules"},
	{"logged-out", "sessions that the old password had opened were ended"},
	{"succeeded", "another person has the account's name now; the former one's history is closed"},
	{"undone", "a change that could not be recorded was overwritten by the application"},
	{"alarm", "something works against shadowsync; the text says what"},
}

// actionsHelp is that table as text, for a help of 88 columns.
func actionsHelp() string {
	var b strings.Builder
	for _, a := range actions {
		b.WriteString("  " + a[0] + strings.Repeat(" ", 15-len(a[0])))
		column := 17
		for i, word := range strings.Fields(a[1]) {
			if i > 0 && column+1+len(word) > 88 {
				b.WriteString("\n" + strings.Repeat(" ", 17))
				column = 17
			} else if i > 0 {
				b.WriteString(" ")
				column++
			}
			b.WriteString(word)
			column += len(word)
		}
		b.WriteString("\n")
	}
	return b.String()
}
