package socket

import (
	"errors"
	"net"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/test/eventually"
)

// lingering returns a TCP socket whose close waits for a minute, because its peer reads nothing.
func lingering(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	port := listener.Addr().(*net.TCPAddr).Port
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
	}
	if err == nil {
		err = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 60})
	}
	for chunk := make([]byte, 1<<16); err == nil; {
		_, err = unix.SendmsgN(fd, chunk, nil, nil, unix.MSG_DONTWAIT)
	}
	if !errors.Is(err, unix.EAGAIN) {
		t.Fatal(err)
	}
	return fd
}

// A peer that sends descriptors that are slow to close delays neither the other peers nor the
// server, whether they come with a served packet, with one that is not read, or with a refused
// connection.
func TestServerClosesForeignDescriptors(t *testing.T) {
	for name, c := range map[string]struct{ perPlace, idle, foreign int }{"served": {4, 0, 2}, "refused": {1, 1, 40}} {
		t.Run(name, func(t *testing.T) {
			keepsDescriptors(t)
			path := filepath.Join(t.TempDir(), "s")
			l := listen(t, path)
			var idle []*Conn
			for range c.idle {
				idle = append(idle, dial(t, path))
			}
			for range c.foreign { // so that the server is the last to close them
				one := dial(t, path)
				for range 2 {
					fd := lingering(t)
					sendRaw(t, one, `{"op":"x"}`, fd)
					unix.Close(fd)
				}
				one.Close()
			}
			start := time.Now()
			serveOn(t, &Server{Handler: echo, PerPlace: c.perPlace}, l)
			for _, one := range idle {
				one.Close()
			}
			eventually.Holds(t, "another is served", func() bool { got, err := ask(t, path, "x"); return err == nil && got.Op == "x" })
			t.Logf("that took %v", time.Since(start))
		})
	}
}

// Only secrets are accepted: other descriptors are not passed to the handler.
func TestServerTakesSecretsAlone(t *testing.T) {
	keepsDescriptors(t)
	path := serve(t, &Server{Handler: echo})
	memfd, err := memfd()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(memfd)
	for name, fd := range map[string]int{"a terminal or file": 0, "a memfd that is not sealed": memfd} {
		c := dial(t, path)
		sendRaw(t, c, `{"op":"x"}`, fd)
		if _, err := c.Receive(background(t), &message{}); err == nil {
			t.Errorf("%s was taken", name)
		}
		c.Close()
	}
	secret, err := SealedMemfd([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	defer secret.Close()
	c := dial(t, path)
	defer c.Close()
	if err := c.Send(background(t), message{Op: "x"}, secret); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Receive(background(t), &message{}); err != nil {
		t.Errorf("a secret was not taken: %v", err)
	}
}
