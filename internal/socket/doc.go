// Package socket speaks JSON in packets over Unix sockets of type
// SOCK_SEQPACKET (unix(7)): one packet is one message, so there is no framing to
// get wrong, and the kernel says who the peer is and carries descriptors.
//
// It promises that
//
//   - every wait ends with its context, without leaving a goroutine behind;
//   - what a peer sends is bounded: one packet of at most [MaxPacket] bytes with
//     at most [MaxFiles] descriptors, unless [Conn.SetLimits] says otherwise;
//   - a descriptor received together with anything wrong is closed;
//   - a secret is taken only from a memfd that nobody can change any more.
//
// conn.go sends and receives, wait.go binds a system call to a context, files.go
// handles descriptors, peer.go asks the kernel who is there, listen.go and open.go make
// sockets, server.go serves connections within limits, secret.go holds secrets.
package socket
