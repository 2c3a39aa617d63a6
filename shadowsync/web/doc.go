// Package web lets the pages of an appliance sign people in to their OS accounts, and do for them what
// they may do: change the password, enrol a second factor, end sessions, and administer accounts. It
// speaks to the daemon on /run/shadowsync/web.sock. The program shadowsync-web uses it, and so can the
// application's own GUI.
//
// The caller runs as a service account of its own that is in the group shadowsync-web. That alone lets it
// do nothing: [Client.SignIn] proves a person's password, and the daemon answers with a token. Every
// further request carries the token, and the daemon takes the account from it, never from the request.
// Whatever changes something carries the person's current password or a code as well. So a taken-over page
// can act for whoever signs in or confirms something while it is taken over, and for nobody else.
//
// Each call is one connection with one request, and no step is kept in the caller: it may end at any time,
// and another process goes on with the token.
//
// Passwords and codes are handed over as a [Secret]. The daemon does not read a password: it passes it on
// to the process that checks it. What package net/http has read stays in the caller's memory for a while,
// whatever the caller does; shadowsync-web therefore ends soon after it has read a password.
//
//	messages.go  requests, answers, and what they carry
//	client.go    the calls
//	secret.go    passwords and codes on their way to the daemon
package web
