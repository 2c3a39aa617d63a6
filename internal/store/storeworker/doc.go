// Package storeworker runs a credential store's driver in a process of its own,
// with the rights of the store file's owner, so that the kernel decides what the driver
// may touch, and a store that hangs blocks no other process.
//
// Client and worker share one connection of package socket. The first packet carries the
// options; then each request has one answer, in the same order, both split into packets if they
// are long. A watch has a connection of its own, whose other end the client sends along.
//
// The worker obeys its client. The client trusts no answer: anything that it did not ask
// for, or that is too much or too long, ends the connection. After that, and after a
// call that ran out of time, every call fails with shadowsync.ErrUnavailable and a
// new worker is needed.
//
//	spawn.go     starts a worker as a child (the broker lets systemd start it)
//	worker.go    the worker process
//	server.go    answers requests from a store
//	client.go    the store as seen by the client; write.go its writes
//	embedded.go  both ends for the backup of an embedded store: all accounts at once
//	wire.go      the packets on the connection
//	rights.go    the rights that a worker needs
//	confine.go   the rights that a worker gives up
//	network.go   what a worker for a store in a server gets, and is left
package storeworker
