package main

import "strings"

// actions explains the words that the audit, sync and history use for what was done. The help of
// audit and its man page print it.
var actions = [][2]string{
	{"baseline", "the account was seen for the first time; both sides' values were recorded as the same password"},
	{"agreed", "both sides had changed to the same value"},
	{"adopted", "the OS's value was written into the store"},
	{"adopted-again", "the application wrote its old value over the new one; the new one was written again"},
	{"applied", "the store's value was written into the OS"},
	{"renewed", "the store got a new hash of the same password, in a format that its application can verify"},
	{"rolled-back", "an older system image was restored; the rule for rollbacks decided which side wins"},
	{"pending", "the store was not available; it is written as soon as it is available again"},
	{"needs-login", "the store needs another hash format; the next login or password change creates it"},
	{"unproven", "the application changed its own hash, perhaps of the same password; the next login or password change shows it"},
	{"changed", "a login's password did not fit the application's hash: the application has another one"},
	{"missing", "the account is gone on one side; nothing was deleted or created"},
	{"refused", "the store or a rule refused the value, or somebody tried what they may not do"},
	{"failed", "it was tried and failed; the text says why"},
	{"conflict", "the sides differ, and a person must decide"},
	{"preferred", "a person decided a conflict, with sync --prefer"},
	{"withdrawn", "a waiting change was taken back"},
	{"attributed", "it became known later who had made a recorded change"},
	{"proven", "a login gave the password that a store needs for its hash, or that fits the hash it has"},
	{"judged", "a new password was checked against the rules"},
	{"logged-out", "sessions that the old password had opened were ended"},
	{"signed-in", "somebody signed in at the page for browsers"},
	{"signed-out", "somebody signed out there"},
	{"sign-in-refused", "the password was wrong there, or the account may not sign in there"},
	{"succeeded", "the account's name belongs to another person now; the history of the former one is closed"},
	{"undone", "a change that could not be recorded was overwritten by the application"},
	{"moved", "an account belongs to another application now"},
	{"renamed", "an account, an application, a store or a unit has another name now, or a table of the configuration names another store"},
	{"kept", "an account is no longer configured, but its change still waits for the store"},
	{"left", "an application or a store is no longer configured; a change will not reach it"},
	{"guard-held", "root forbids stop and restart of a unit until release"},
	{"guard-released", "root lifted a guard"},
	{"guard-lifted", "a guard reached its time limit although the change is still pending"},
	{"guard-moved", "a guard moved to the unit that the application has now"},
	{"hook-failed", "a hook failed before the application started"},
	{"configuration-refused", "the configuration cannot be used; the last good one stays in use"},
	{"not-told", "the journal did not take a record in time; the audit has it"},
	{"not-notified", "the program of notify.command failed"},
	{"notified", "the program of notify.command works again"},
	{"set-up", "setup changed the wiring"},
	{"removed", "remove undid the wiring"},
	{"backed-up", "a backup was written"},
	{"restored", "a backup was put back"},
	{"restore-undone", "a restore failed and was taken back"},
	{"restore-resumed", "a restore that was interrupted was finished or dropped"},
	{"state-rebuilt", "the state was lost or damaged and begins anew"},
	{"salvaged", "a waiting change was taken over from a damaged state"},
	{"audit-trimmed", "old records were removed, as the configuration says"},
	{"enrol-begun", "the enrolment of a second factor was begun; a code of it is still to be shown"},
	{"enrolled", "a code of the new second factor was shown, and the account is enrolled"},
	{"code-taken", "a code of a second factor was right, and is used up"},
	{"code-refused", "a code of a second factor was refused; the text says why"},
	{"codes-guessed", "too many wrong codes of an account came from many addresses: only known addresses and recovery codes are let in"},
	{"codes-renewed", "the recovery codes of a second factor were replaced"},
	{"factor-reset", "a second factor was dropped, and an enrolment code was handed out"},
	{"factor-lost", "the state was lost, and with it a second factor; it needs a reset"},
	{"floor-lowered", "codes of the present time are valid again, after a clock that was ahead"},
	{"mail-set", "the mail address on record was set or removed"},
	{"lost", "who lost the authenticator asked for a code by mail"},
	{"not-mailed", "a mail about a second factor could not be sent; the text says why"},
	{"alarm", "a problem that shadowsync cannot solve by itself; the text says which"},
}

// actionsHelp is that table as text, for a help of 88 columns.
func actionsHelp() string {
	var b strings.Builder
	for _, a := range actions {
		b.WriteString("  " + a[0] + strings.Repeat(" ", 23-len(a[0])))
		column := 25
		for i, word := range strings.Fields(a[1]) {
			if i > 0 && column+1+len(word) > 88 {
				b.WriteString("\n" + strings.Repeat(" ", 25))
				column = 25
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
