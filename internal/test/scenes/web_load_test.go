package scenes

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// Addresses of the machine's own: everybody's, and the attacker's. A browser comes from the first.
const (
	anybody  = "127.0.0.1"
	attacker = "127.0.0.66"
)

// hoardsConnections: hundreds of connections that say nothing, or say it slowly, keep neither others nor root waiting, and are
// closed.
func hoardsConnections(w *site) {
	var hoard sync.WaitGroup
	var open []net.Conn
	dial := func() (net.Conn, error) { return w.Machine.DialFrom(w.t.Context(), attacker, "tcp", "127.0.0.1:8443") }
	for i := range 300 {
		conn, err := dial()
		if err != nil {
			continue // refused already
		}
		open = append(open, conn)
		if i%3 == 0 {
			continue // half open: not even TLS
		}
		hoard.Go(func() {
			secure := tls.Client(conn, &tls.Config{RootCAs: w.authority.Pool(), ServerName: pageName})
			_ = secure.SetDeadline(time.Now().Add(10 * time.Second))
			if secure.Handshake() != nil || i%3 == 1 {
				return
			}
			for _, part := range []string{"POST /sign-in HTTP/1.1\r\n", "Host: " + pageName + "\r\n", "Content-Length: 1000\r\n", "\r\n"} {
				if _, err := secure.Write([]byte(part)); err != nil {
					return
				}
			}
		})
	}
	if len(open) < 200 {
		w.t.Fatalf("only %d connections were made", len(open))
	}
	w.goesOn("hundreds of connections")
	hoard.Wait()
	closed := 0
	for _, conn := range open {
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		var err error
		for buffer := make([]byte, 4096); err == nil; {
			_, err = conn.Read(buffer)
		}
		if timeout := net.Error(nil); !errors.As(err, &timeout) || !timeout.Timeout() {
			closed++
		}
		_ = conn.Close()
	}
	if closed != len(open) {
		w.t.Errorf("%d of %d connections were closed", closed, len(open))
	}
}

// floodsSignIn: somebody tries a thousand passwords a second. Most are refused unchecked, root and the others go on.
func floodsSignIn(w *site) {
	const perSecond = 1000
	var refused, checked, failed, other atomic.Int64
	tries, stop := make(chan struct{}), make(chan struct{})
	var crowd sync.WaitGroup
	for range 24 {
		c := w.client(attacker)
		crowd.Go(func() {
			for range tries {
				a, err := w.tries(c, signIn, url.Values{"username": {"user222"}, "password": {"guess"}})
				switch {
				case err != nil:
					failed.Add(1)
				case a.status == http.StatusTooManyRequests:
					refused.Add(1)
				case a.status == http.StatusForbidden:
					checked.Add(1)
				default:
					other.Add(1)
				}
			}
		})
	}
	crowd.Go(func() {
		defer close(tries)
		pace := time.NewTicker(time.Second / perSecond)
		defer pace.Stop()
		for {
			select {
			case <-stop:
				return
			case <-pace.C:
				tries <- struct{}{}
			}
		}
	})
	began := time.Now()
	all := func() int64 { return refused.Load() + checked.Load() + failed.Load() + other.Load() }
	w.eventually("a flood of sign-ins", machine.Patience, func() bool { return all() > perSecond/2 })
	w.goesOn("a flood of sign-ins")
	w.eventually("a long flood of sign-ins", machine.Patience, func() bool { return all() > 3*perSecond })
	close(stop)
	crowd.Wait()
	w.t.Logf("in %v: %d sign-ins, %d refused unchecked, %d checked, %d connections lost, %d answered otherwise", time.Since(began).Round(time.Second), all(), refused.Load(), checked.Load(), failed.Load(), other.Load())
	if checked.Load() > 60 || other.Load() > 0 {
		w.t.Error("the flood was not held back")
	}
	w.Must("systemctl", "is-active", "--quiet", "shadowsync.service")
}

// goesOn asserts that the page, root's passwd and the shell of operators answer in their times, whatever goes on.
func (w *site) goesOn(beside string) {
	w.t.Helper()
	c := w.client(anybody)
	for _, step := range []struct {
		what   string
		within time.Duration
		does   func()
	}{
		// A process that ends waits for the slowest form, up to five seconds, and a new visitor for the next process.
		{"the page", 8 * time.Second, func() {
			if a := w.request(c, signIn, nil); a.status != http.StatusOK {
				w.t.Errorf("beside %s the page is answered with %d", beside, a.status)
			}
		}},
		{"passwd", 2 * time.Second, func() { w.says(w.passwd("boss", newPassword), "persisted in conductor's credential store") }},
		{"pcli", time.Second, func() { w.As("boss").Must("pcli", "-c", "show user") }},
		{"signing in", 10 * time.Second, func() {
			var a reply
			w.eventually("somebody who signs in again and again is let in", machine.Patience, func() bool {
				a = w.request(c, signIn, url.Values{"username": {"boss"}, "password": {newPassword}})
				return a.status != http.StatusTooManyRequests
			})
			if a.status != http.StatusSeeOther || a.header.Get("Location") != "/profile" {
				w.t.Errorf("beside %s signing in is answered with %d: %s", beside, a.status, a.body)
			}
		}},
	} {
		if took := took(step.does); took > step.within+slack {
			w.t.Errorf("beside %s %s took %v", beside, step.what, took)
		}
	}
}
