package machine

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// DialContext connects to an address on the machine's own network, as a program there would. It suits
// http.Transport.
func (m *Machine) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return m.DialFrom(ctx, "", network, address)
}

// DialFrom is DialContext from an IP address of the machine's; empty: the one that the kernel chooses.
func (m *Machine) DialFrom(ctx context.Context, from, network, address string) (net.Conn, error) {
	dialer := &net.Dialer{}
	if from != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	return inNetwork(m, "connect to "+address, func() (net.Conn, error) { return dialer.DialContext(ctx, network, address) })
}

// Listen listens on an address of the machine's own network, for a server that runs in the test.
func (m *Machine) Listen(ctx context.Context, address string) (net.Listener, error) {
	return inNetwork(m, "listen on "+address, func() (net.Listener, error) {
		return (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	})
}

// inNetwork makes a socket, which belongs to the network of the thread that makes it, in the machine's.
func inNetwork[T any](m *Machine, what string, open func() (T, error)) (T, error) {
	var none T
	b, err := m.life()
	if err != nil {
		return none, fmt.Errorf("cannot %s: %w", what, err)
	}
	space, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", b.leader))
	if err != nil {
		return none, fmt.Errorf("cannot %s: %w", what, err)
	}
	defer space.Close()
	type result struct {
		socket T
		err    error
	}
	opened := make(chan result, 1)
	go func() {
		// This thread is not unlocked, so it ends with the goroutine and serves no other one.
		runtime.LockOSThread()
		if err := unix.Setns(int(space.Fd()), unix.CLONE_NEWNET); err != nil {
			opened <- result{err: fmt.Errorf("cannot enter the machine's network: %w", err)}
			return
		}
		socket, err := open()
		opened <- result{socket, err}
	}()
	r := <-opened
	return r.socket, r.err
}
