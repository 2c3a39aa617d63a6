package socket

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

const (
	// MaxPacket is the default size limit of a packet, in bytes, in both directions. Longer content
	// goes in several packets.
	MaxPacket = 64 << 10
	// MaxFiles is the default limit of descriptors in a received packet.
	MaxFiles = 1
)

var (
	// ErrTooLarge means that a packet is longer than the limit of the connection.
	ErrTooLarge = errors.New("the packet is too large")
	// ErrTooManyFiles means that a packet carried more descriptors than the connection accepts, or
	// than this process may open (RLIMIT_NOFILE).
	ErrTooManyFiles = errors.New("the packet carries too many descriptors")
)

// Conn is one end of a connection. Several goroutines may call its methods; packets stay whole and
// in the order of the calls.
type Conn struct {
	file    *os.File
	in, out direction
	packet  int
	files   int
	secrets bool // accept only descriptors of sealed memfds
}

// newConn takes ownership of f, a connected non-blocking socket.
func newConn(f *os.File) (*Conn, error) {
	in, out, err := directions(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Conn{file: f, in: in, out: out, packet: MaxPacket, files: MaxFiles}, nil
}

// SetLimits changes the limits for a peer that is trusted more or less than by default: packet
// bytes in both directions, and received descriptors (0 to 253, the kernel's own limit). Call it
// before the first Send and Receive. The kernel limits a packet to the sender's send buffer, which
// SetLimits enlarges as far as net.core.wmem_max allows; an error means that a packet of that size
// does not fit.
func (c *Conn) SetLimits(packet, files int) error {
	const overhead = 32 // unix_dgram_sendmsg reserves this much of the buffer
	var size int
	err := control(c.file, func(fd int) (err error) {
		if size, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF); err != nil || size >= packet+overhead {
			return err
		}
		if err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, packet+overhead); err != nil {
			return err
		}
		size, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF)
		return err
	})
	if err == nil && size < packet+overhead {
		err = fmt.Errorf("the kernel's send buffer ends at %d bytes", size)
	}
	if err != nil {
		return fmt.Errorf("cannot allow packets of %d bytes: %w", packet, err)
	}
	c.packet, c.files = packet, files
	return nil
}

// Send sends v as JSON in one packet, with descriptors attached. The caller still owns the files.
// If v is too large, Send sends nothing and returns [ErrTooLarge].
func (c *Conn) Send(ctx context.Context, v any, files ...*os.File) error {
	packet, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("cannot send: %w", err)
	}
	return c.sendPacket(ctx, packet, files)
}

// SendText sends a text that is not empty in one packet, for a peer that does not read JSON.
func (c *Conn) SendText(ctx context.Context, text string) error {
	return c.sendPacket(ctx, []byte(text), nil)
}

func (c *Conn) sendPacket(ctx context.Context, packet []byte, files []*os.File) error {
	if len(packet) > c.packet {
		return fmt.Errorf("cannot send %d bytes: %w", len(packet), ErrTooLarge)
	}
	err := withDescriptors(files, nil, func(fds []int) error {
		return c.send(ctx, packet, fds)
	})
	if err != nil {
		return fmt.Errorf("cannot send: %w", err)
	}
	return nil
}

func (c *Conn) send(ctx context.Context, packet []byte, fds []int) error {
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	return c.out.do(ctx, func(fd int) error {
		// MSG_NOSIGNAL: on descriptors 1 and 2, SIGPIPE ends a Go program.
		_, err := unix.SendmsgN(fd, packet, rights, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		return err
	})
}

// Receive takes one packet into v, as encoding/json does: it ignores members that v does not have;
// anything after the value is an error. The caller owns the files; on any error there are none.
// io.EOF, unwrapped, means that the peer has closed (an empty packet looks the same).
//
// A packet that was too large or malformed is lost. The connection could continue, but it is better
// to close it.
func (c *Conn) Receive(ctx context.Context, v any) ([]*os.File, error) {
	ended := false
	files, err := c.receive(ctx, func(packet []byte) error {
		if ended = len(packet) == 0; ended {
			return nil
		}
		return json.Unmarshal(packet, v)
	})
	switch {
	case err != nil:
		dispose(files)
		return nil, fmt.Errorf("cannot receive: %w", err)
	case ended:
		dispose(files)
		return nil, io.EOF
	}
	return files, nil
}

// receive calls take with the bytes of one packet, none for the end, and returns all descriptors
// that came with it, even with an error. The bytes are valid only during the call.
func (c *Conn) receive(ctx context.Context, take func(packet []byte) error) ([]*os.File, error) {
	rights := make([]byte, rightsSpace(c.files))
	var packet buffer
	var n, rightsLen, flags int
	defer func() { packet.done(n) }()
	err := c.in.do(ctx, func(fd int) (err error) {
		packet.need(c.packet)
		n, rightsLen, flags, _, err = unix.Recvmsg(fd, packet.bytes, rights, unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
		if err != nil {
			n = 0
			packet.done(n) // nothing holds one while it waits
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	files, err := takeFiles(rights[:rightsLen])
	if err == nil && c.secrets && !allSealed(files) {
		dispose(files)
		return nil, ErrNotSealed
	}
	switch {
	case err != nil:
		return files, err
	case flags&unix.MSG_CTRUNC != 0 || len(files) > c.files:
		return files, ErrTooManyFiles
	case flags&unix.MSG_TRUNC != 0:
		return files, ErrTooLarge
	}
	return files, take(packet.bytes[:n])
}

// ReceiveAnswer receives a packet from a server that sends no descriptors; whatever descriptors come are
// closed. If the server closes before it has read all of this side's packets, the kernel reports the reset
// before the packet that waits, so ReceiveAnswer tries once more.
func (c *Conn) ReceiveAnswer(ctx context.Context, v any) error {
	files, err := c.Receive(ctx, v)
	if errors.Is(err, unix.ECONNRESET) {
		files, err = c.Receive(ctx, v)
	}
	CloseAll(files)
	return err
}

// Unreachable says, to people, what an error of a connection to the broker means.
func Unreachable(err error) string {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "shadowsync did not answer in time"
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ECONNREFUSED):
		return "shadowsync is not running"
	case errors.Is(err, io.EOF), errors.Is(err, unix.ECONNRESET), errors.Is(err, unix.EPIPE):
		return "shadowsync closed the connection"
	}
	return fmt.Sprintf("cannot ask shadowsync: %v", err)
}

// Close closes the connection. Calls that are waiting end with os.ErrClosed.
func (c *Conn) Close() error { return closeSoon(c.file) }
