// Package operator is the operators' interface of the broker: the messages on
// /run/shadowsync/operator.sock, and a client for them.
//
// It does not decide what a caller may do. Only the broker decides that, for every request anew,
// from the kernel's information about the peer. The package is pure Go and small, so that a shell
// that uses it starts in milliseconds.
//
// Every request is a connection of its own: one JSON packet (see package socket) asks, with at most
// one sealed memfd attached that holds a password; one packet answers, or several for a list.
// Changing one's own password is a dialogue on one connection, so that the person who proved the
// current password is the one who enters the new one.
//
//	wire.go      requests, answers and what they carry
//	error.go     kinds of errors, with their exit statuses
//	client.go    the calls
//	dialogue.go  set password, from the operator's side
//	serve.go     the broker's side of the same packets
package operator
