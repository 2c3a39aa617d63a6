// Package front is what stands between the network and the pages: the socket that systemd hands over, TLS,
// limits on connections and requests, the address of a browser behind a proxy, and the end of the process.
//
// HTTP/1.1 is the only protocol: the page is two small files, so HTTP/2 would bring no gain, only its own
// kinds of floods.
//
//	front.go    Serve
//	listen.go   the socket and the certificate
//	life.go     when the process ends
//	limits.go   connections and requests of an address
//	address.go  what the configuration says, and whose request it is
package front

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"time"
)

// The limits of a connection. A request has a few kilobytes, so a browser that is slower is none.
const (
	headerTime = 3 * time.Second
	readTime   = 5 * time.Second
	writeTime  = 15 * time.Second // more than the process has left once it has read a password
	idleTime   = 10 * time.Second
	maxHeader  = 16 << 10
)

// answerTime is what a request gets to say that it was cut off.
const answerTime = 500 * time.Millisecond

// Serve answers requests until life ends, or ctx does. Requests in progress get the time that life leaves.
func Serve(ctx context.Context, l net.Listener, pair *tls.Config, h http.Handler, life *Life) error {
	work, cut := context.WithCancel(context.Background())
	defer cut()
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	server := &http.Server{
		Handler:           h,
		TLSConfig:         pair,
		Protocols:         &protocols,
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       readTime,
		WriteTimeout:      writeTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		ConnState:         life.state,
		BaseContext:       func(net.Listener) context.Context { return work },
		ErrorLog:          log.New(withoutHandshakes{log.Writer()}, "", 0),
	}
	failed := make(chan error, 1)
	go func() {
		if pair != nil {
			failed <- server.ServeTLS(l, "", "")
		} else {
			failed <- server.Serve(l)
		}
	}()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	case <-life.Over():
	}
	// Once no more is accepted, the server knows of every connection that was: none is dropped unseen.
	_ = l.Close()
	if err := <-failed; !errors.Is(err, net.ErrClosed) {
		return errors.Join(err, shutDown(server, life, cut))
	}
	return shutDown(server, life, cut)
}

// shutDown waits for the requests in progress, and for those of connections that were accepted just before:
// net/http answers none that it reads after the beginning of Shutdown. When their time is over, it cuts off
// what they wait for, so that they can still tell the person.
func shutDown(server *http.Server, life *Life, cut func()) error {
	left, cancel := context.WithTimeout(context.Background(), life.left())
	defer cancel()
	defer life.closeUnused()()
	server.SetKeepAlivesEnabled(false)
	life.drained(left)
	err := server.Shutdown(left)
	if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	cut()
	last, cancel := context.WithTimeout(context.Background(), answerTime)
	defer cancel()
	if server.Shutdown(last) == nil {
		return nil
	}
	return server.Close()
}

// withoutHandshakes drops the lines about failed TLS handshakes: strangers cause them, as many as they like.
type withoutHandshakes struct{ io.Writer }

func (w withoutHandshakes) Write(line []byte) (int, error) {
	if strings.Contains(string(line), "TLS handshake error") {
		return len(line), nil
	}
	return w.Writer.Write(line)
}
