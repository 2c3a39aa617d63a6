// Package operator is the operators' door to the broker: what is said on
// /run/shadowsync/operator.sock, and a client for it.
//
// It promises nothing about who may do what: that is the broker's decision
// alone, made from the kernel's word about the peer, for every request anew.
// It is pure Go and small, so that a shell with it starts in milliseconds.
//
// Every request is a connection of its own: one JSON packet (see package socket)
// asks, with at most one sealed memfd attached that holds a password; one packet
// answers, or several for a list. Changing one's own password is a dialogue on
// one connection, so that whoever proved the current password is the one who
// gives the new one.
//
//	wire.go      requests, answers and what they carry
//	error.go     what can go wrong, by the exit status it leads to
//	client.go    the calls
//	dialogue.go  set password, from the operator's side
//	serve.go     the broker's side of the same packets
package operator
