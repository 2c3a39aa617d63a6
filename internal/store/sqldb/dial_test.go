package sqldb

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// silent is a port of 127.0.0.1 that takes no more connections and does not refuse them either, like a
// machine that is off.
func silent(t *testing.T) (port string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ = net.SplitHostPort((&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: name.(*unix.SockaddrInet4).Port}).String())
	for range 8 { // its queue has one place
		ctx, cancel := context.WithTimeout(t.Context(), silence)
		conn, err := dialer.DialContext(ctx, "tcp", "127.0.0.1:"+port)
		cancel()
		if err != nil {
			return port
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	t.Fatal("the port takes connections without end")
	return ""
}

// TestDialAny: an address that answers nothing, or refuses, is no hindrance.
func TestDialAny(t *testing.T) {
	port := silent(t)
	l, err := net.Listen("tcp", "127.0.0.2:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for name, addresses := range map[string][]string{
		"silent": {"127.0.0.1", "127.0.0.2"}, "refused": {"127.0.0.3", "127.0.0.2"}, "several": {"127.0.0.3", "127.0.0.1", "127.0.0.1", "127.0.0.2"}, "first": {"127.0.0.2", "127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), dialTime) // which a single address may take
			defer cancel()
			conn, err := dialAny(ctx, "tcp", addresses, port)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if at := conn.RemoteAddr().String(); at != "127.0.0.2:"+port {
				t.Errorf("connected to %s", at)
			}
		})
	}
	if _, err := dialAny(t.Context(), "tcp", []string{"127.0.0.3", "127.0.0.4"}, port); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("%v", err)
	}
}
