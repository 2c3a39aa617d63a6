package origin

import "github.com/shadowsync/shadowsync/internal/wire/socket"

// OfPeer reads the facts about the process at the other end of a connection, which waits for an
// answer and so is still alive. If it is gone, the facts stay empty. Without a pidfd (Linux before
// 6.5) the kernel does not pin its pid, and the facts are marked as unpinned.
func OfPeer(peer socket.Peer) Process {
	p := FromPID(peer.PID)
	if peer.Process == nil {
		p.Unpinned = true
		return p
	}
	if !peer.Alive() {
		p = Process{PID: peer.PID}
	}
	return p
}
