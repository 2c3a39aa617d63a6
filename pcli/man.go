package pcli

import "strings"

// Man is the page pcli(1) in man(7) macros.
func Man(version string) string {
	head := `.TH PCLI 1 "" "shadowsync ` + strings.ReplaceAll(version, `"`, "") + `" "User Commands"` + "\n"
	return head + manAbove + commandSet.Man() + manMenu + menuSet.Man() + manBelow
}

const manAbove = `.SH NAME
pcli \- operator shell of shadowsync
.SH SYNOPSIS
.B pcli
[\fB\-\-stdin\fR]
.br
.B pcli
\fB\-c\fR \fICOMMAND\fR [\fB\-\-stdin\fR]
.SH DESCRIPTION
.B pcli
is a login shell in the manner of network appliances. It shows the prompt
.IR user @ node . asset #
to administrators, and one that ends in > to others. Commands that a role may not run are not shown to it.
.PP
Every change is made by the shadowsync daemon, on the side of the OS and on that of the application at once.
.SH OPTIONS
.TP
.BI \-c " COMMAND"
Run COMMAND and exit with its status. Several lines are several commands.
.TP
.B \-\-stdin
Answer questions, for passwords too, from standard input, a line each. Without it they are asked on the terminal,
.IR /dev/tty ,
even if commands come from elsewhere; prompts then are shown there.
.TP
.B \-\-version
Print the version.
.PP
Without a terminal on standard input and output, commands are read from standard input, a line each. Empty lines and
lines that begin with # do nothing. As in other shells, a command that fails does not stop the rest, and the exit status is
that of the last.
.SH COMMANDS
A value with spaces, or one that looks like a keyword, is quoted.
`

const manMenu = `.SS The menu of edit user
`

const manBelow = `.SH KEYS
.TP
.B ?
Help at any point of a line, without Enter. On a terminal without cursor control (TERM=dumb), and in scripts, it is the last character of a line.
.TP
.B Tab
Complete a word, an account or a value; a second Tab lists what there is.
.TP
.B Ctrl\-C
Cancel the line, the question or the wait. A change that was begun goes on to its end.
.TP
.B Ctrl\-D
On an empty line, leave the menu or the shell.
.TP
.B Ctrl\-Z
Run the line and leave the menu; on an empty line without a menu, leave the shell.
.TP
.BR Up ", " Down ", " Left ", " Right ", " Home ", " End
Go through the history, and along the line. Ctrl\-A, Ctrl\-E, Ctrl\-B, Ctrl\-F, Ctrl\-P, Ctrl\-N, Ctrl\-K, Ctrl\-U, Ctrl\-W, Ctrl\-T and Ctrl\-L are as in other shells.
.SH HISTORY
.BR !! " repeats the last line, " !n " line n of"
.BR "show history" ", " !\-n " the nth from the end, " !text
the last that began with text. What follows is added. The history is in the memory of the shell alone and holds no answers to questions and no passwords.
.SH PAGING
Long output stops after each screenful: Space goes on, Enter shows a line more, q stops.
.SH EXIT STATUS
0 done, 1 failed, 2 usage, 3 done on the side of the OS and pending on that of the application, 4 conflict: a person must decide, 5 no such account,
6 refused by the password policy, 7 not authenticated, 8 not permitted, 9 shadowsync, the store or a lock not available in time,
130 interrupted; 128 and the number of a signal that ended the shell.
.SH SEE ALSO
.BR shadowsync (8)
`
