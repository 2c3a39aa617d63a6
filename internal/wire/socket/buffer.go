package socket

import "sync"

// buffers holds what packets were received into, for the next packet of any connection: a buffer is
// as large as the largest packet, and most packets are short.
var buffers = sync.Pool{New: func() any { return new([MaxPacket]byte) }}

// buffer is what one packet is received into. The zero value has none yet.
type buffer struct {
	bytes  []byte
	shared *[MaxPacket]byte // nil: bytes is not from buffers
}

// need makes room for a packet of that size.
func (b *buffer) need(size int) {
	if size > MaxPacket {
		b.bytes = make([]byte, size)
		return
	}
	b.shared = buffers.Get().(*[MaxPacket]byte)
	b.bytes = b.shared[:size]
}

// done wipes the received bytes, so that no later packet meets them, and gives the buffer back.
func (b *buffer) done(received int) {
	clear(b.bytes[:received])
	if b.shared != nil {
		buffers.Put(b.shared)
	}
	*b = buffer{}
}
