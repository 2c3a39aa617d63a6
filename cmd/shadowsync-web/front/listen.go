package front

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"github.com/coreos/go-systemd/v22/activation"
)

var (
	// ErrNoSocket: somebody started the program by hand.
	ErrNoSocket = errors.New("systemd passed no socket: start shadowsync-web.socket, and connect to it")
	// ErrPlain: passwords would cross the network in clear text.
	ErrPlain = errors.New("there is no certificate, and without one it listens on a loopback address alone: set certificate and key, or listen to 127.0.0.1 or ::1, behind a proxy that speaks TLS")
)

// Listen returns the one TCP socket that systemd passed (sd_listen_fds(3)).
func Listen() (net.Listener, error) {
	files := activation.Files(true)
	defer func() {
		for _, f := range files {
			_ = f.Close() // the listener has its own descriptor
		}
	}()
	switch len(files) {
	case 0:
		return nil, ErrNoSocket
	case 1:
	default:
		return nil, fmt.Errorf("systemd passed %d sockets; it serves one", len(files))
	}
	l, err := net.FileListener(files[0])
	if err != nil {
		return nil, fmt.Errorf("cannot use the socket of systemd: %w", err)
	}
	if _, ok := l.Addr().(*net.TCPAddr); !ok {
		return nil, errors.Join(errors.New("the socket of systemd is not for TCP"), l.Close())
	}
	return l, nil
}

// Pair loads web.crt and web.key from the folder of systemd's credentials. Without them, the result is nil,
// and the error [ErrPlain] unless the address is one of loopback.
func Pair(credentials string, address net.Addr) (*tls.Config, error) {
	if credentials != "" {
		pair, err := tls.LoadX509KeyPair(filepath.Join(credentials, "web.crt"), filepath.Join(credentials, "web.key"))
		if err == nil {
			return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
		}
		if !errors.Is(err, fs.ErrNotExist) || present(credentials) {
			return nil, fmt.Errorf("cannot use the credentials web.crt and web.key: %w", err)
		}
	}
	if tcp, ok := address.(*net.TCPAddr); ok && tcp.IP.IsLoopback() {
		return nil, nil
	}
	return nil, ErrPlain
}

// present reports whether there is half of a pair, which is a mistake.
func present(credentials string) bool {
	for _, name := range []string{"web.crt", "web.key"} {
		if _, err := os.Lstat(filepath.Join(credentials, name)); err == nil {
			return true
		}
	}
	return false
}
