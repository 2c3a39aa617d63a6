package main

import "strings"

// manPage is shadowsync-web(8) in man(7) macros.
func manPage(version string) string {
	return `.TH SHADOWSYNC-WEB 8 "" "shadowsync ` + strings.ReplaceAll(version, `"`, "") + `" "System Administration"` + "\n" + manText
}

const manText = `.SH NAME
shadowsync-web \- page to change a password and to get back in, from a browser
.SH SYNOPSIS
.B shadowsync-web
.SH DESCRIPTION
People change the password of their OS account with it, enrol or renew a second factor, and get back in when the
authenticator is lost. Administrators lock and unlock accounts, reset passwords and second factors, and read the audit. The
pages need no script. The page is off until
.B shadowsync setup \-\-web
switches it on.
.PP
systemd starts it when somebody connects to the socket of
.IR shadowsync-web.socket .
It ends 15 seconds after the last request, within ten seconds after it has read a password or a code, so that
its memory keeps none, and after five minutes in any case, so that a replaced certificate is used. The daemon holds the sessions, therefore nobody is signed out by that.
.PP
It has no rights of its own: it asks the daemon on
.IR /run/shadowsync/web.sock ,
with the token that the browser got after the password was proven. The section [web] of
.BR shadowsync.toml (5)
says where it listens, and which proxies name the browser's address.
.PP
If systemd passes the credentials
.IR web.crt " and " web.key ,
it speaks TLS. Without them it serves a loopback address alone, for a proxy that speaks TLS.
.SH OPTIONS
.TP
.B \-\-version
Print the version.
.SH LIMITS
256 connections, 32 of one address that is no proxy. An address may send 5 forms a second (50 at once), and ask for 200 pages a
second (400 at once); the others are answered with status 429. A form has at most 64 KiB. A request that takes longer than 5 s to arrive is
dropped. Of IPv6 addresses, the first 64 bits count.
.SH ENVIRONMENT
.TP
.B CREDENTIALS_DIRECTORY
The folder of web.crt and web.key; systemd sets it.
.SH EXIT STATUS
0 done, 1 failed, 2 started in the wrong way.
.SH SEE ALSO
.BR shadowsync (8),
.BR shadowsync.toml (5),
.BR systemd.socket (5)
`
