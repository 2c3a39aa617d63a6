// Package socket sends and receives JSON packets over Unix sockets of type SOCK_SEQPACKET
// (unix(7)). One packet is one message, so no framing is needed; the kernel identifies the peer and
// carries descriptors.
//
// It promises that
//
//   - every wait ends with its context, without leaving a goroutine behind;
//   - what a peer sends is bounded: one packet of at most [MaxPacket] bytes with at most [MaxFiles]
//     descriptors, unless [Conn.SetLimits] says otherwise;
//   - a descriptor that arrives together with an error is closed;
//   - a secret is read only from a memfd that nobody can change any more.
//
// The files:
//
//	conn.go    sends and receives
//	buffer.go  what packets are received into
//	wait.go    binds a system call to a context
//	files.go   descriptors
//	close.go   closes descriptors that could block
//	peer.go    asks the kernel for the peer
//	listen.go  Listener
//	open.go    creates sockets, connects
//	server.go  serves connections within limits
//	secret.go  secrets in sealed memory files
package socket
