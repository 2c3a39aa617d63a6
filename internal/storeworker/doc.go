// Package storeworker runs a credential store's driver in a process of its own,
// with the uid of the store file's owner, so that the kernel decides what the driver
// may touch, and a store that hangs takes no one with it.
//
// One connection of package socket joins the two. The first packet carries the
// options; then each request has one answer, both split into packets where they are
// long. A watch has a connection of its own, whose end is sent along.
//
// The worker obeys its client. The client trusts no answer: what it did not ask
// for, what is too much or too long, ends the connection. After that, and after a
// call that ran out of time, every call fails with shadowsync.ErrUnavailable and a
// new worker is needed.
//
//	spawn.go   starts a worker as a child (the broker lets systemd start it)
//	worker.go  what runs in the worker
//	server.go  answers requests from a store
//	client.go  is a store, by asking
//	wire.go    what goes over the connection
package storeworker
