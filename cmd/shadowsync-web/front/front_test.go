package front

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// memory is a listener whose connections are pipes, so that a test can use the clock of a bubble.
type memory struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newMemory() *memory {
	return &memory{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (m *memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

func (m *memory) Close() error {
	m.once.Do(func() { close(m.closed) })
	return nil
}

func (m *memory) Addr() net.Addr { return &net.TCPAddr{} }

// dial connects from an address.
func (m *memory) dial(from string) net.Conn {
	ours, theirs := net.Pipe()
	select {
	case m.conns <- &remote{theirs, net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from), 1))}:
	case <-m.closed:
	}
	return ours
}

type remote struct {
	net.Conn
	addr net.Addr
}

func (f *remote) RemoteAddr() net.Addr { return f.addr }

// served runs Serve in a bubble and tells after which time it returned.
func served(t *testing.T, h http.Handler, test func(*memory, *Life)) (after time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		m, life := newMemory(), NewLife()
		done := make(chan error, 1)
		go func() { done <- Serve(t.Context(), m, nil, h, life) }()
		test(m, life)
		if err := <-done; err != nil {
			t.Error(err)
		}
		after = time.Since(begin)
	})
	return after
}

func get(t *testing.T, c net.Conn) *http.Response {
	t.Helper()
	if _, err := c.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

var fine = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })

func TestEndsWithoutConnections(t *testing.T) {
	if after := served(t, fine, func(*memory, *Life) {}); after != idleExit {
		t.Errorf("it ends after %v", after)
	}
}

// A connection that is kept open after its last request does not delay the end.
func TestEndsAfterTheLastRequest(t *testing.T) {
	after := served(t, fine, func(m *memory, _ *Life) {
		c := m.dial("192.0.2.1")
		if status := get(t, c).StatusCode; status != http.StatusNoContent {
			t.Errorf("status %d", status)
		}
	})
	if after != idleExit {
		t.Errorf("it ends after %v", after)
	}
}

// A process that is always in use ends, too: the next one has the present certificate.
func TestEndsAfterALongTime(t *testing.T) {
	after := served(t, fine, func(m *memory, life *Life) {
		c := m.dial("192.0.2.1")
		get(t, c)
		for {
			select {
			case <-life.Over():
				return
			case <-time.After(7 * time.Second): // never at the same moment
				get(t, c)
			}
		}
	})
	if after < wholeLife || after > wholeLife+time.Second {
		t.Errorf("it ends after %v", after)
	}
}

func TestEndsSoonAfterASecret(t *testing.T) {
	after := served(t, fine, func(m *memory, life *Life) {
		c := m.dial("192.0.2.1")
		get(t, c)
		life.Secret()
		time.Sleep(openFor / 2) // of the bubble
		life.Secret()           // a second one does not prolong it
		get(t, c)               // still open
	})
	if after != openFor {
		t.Errorf("it ends after %v", after)
	}
}

// A process that may not see the daemon's socket makes room for one that does, and goes on answering until then.
func TestEndsSoonIfTheDaemonIsUnreachable(t *testing.T) {
	after := served(t, fine, func(m *memory, life *Life) {
		c := m.dial("192.0.2.1")
		get(t, c)
		life.Unreachable()
		time.Sleep(openFor / 2) // of the bubble
		life.Unreachable()
		get(t, c)
	})
	if after != openFor {
		t.Errorf("it ends after %v", after)
	}
}

// What takes too long is cut off, and still answered.
func TestCutsOffWhatTakesTooLong(t *testing.T) {
	var life *Life
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		life.Secret()
		<-r.Context().Done()
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	after := served(t, h, func(m *memory, l *Life) {
		life = l
		if status := get(t, m.dial("192.0.2.1")).StatusCode; status != http.StatusServiceUnavailable {
			t.Errorf("status %d", status)
		}
	})
	if after < secretLives || after >= 10*time.Second {
		t.Errorf("it ends after %v", after)
	}
}

// A handler that does not even heed that cannot keep the process.
func TestEndsInAnyCase(t *testing.T) {
	release := make(chan struct{})
	var life *Life
	h := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		life.Secret()
		<-release
	})
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		m := newMemory()
		release = make(chan struct{})
		life = NewLife()
		done := make(chan error, 1)
		go func() { done <- Serve(t.Context(), m, nil, h, life) }()
		c := m.dial("192.0.2.1")
		_, _ = c.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
		<-done
		if after := time.Since(begin); after >= 10*time.Second {
			t.Errorf("it ends after %v", after)
		}
		close(release)
	})
}

// Connections that browsers open in advance, and half a request, do not hold up the end for long.
// A visitor who never goes away does not keep a certificate in use that was replaced.
func TestEndsAfterAWholeLife(t *testing.T) {
	after := served(t, http.NotFoundHandler(), func(m *memory, life *Life) {
		for range int(wholeLife / (idleTime / 2)) {
			c := m.dial("192.0.2.1")
			if _, err := c.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")); err != nil {
				return
			}
			c.Close()
			select {
			case <-life.Over():
				return
			case <-time.After(idleTime / 2):
			}
		}
	})
	if after < wholeLife || after > wholeLife+stopTime {
		t.Errorf("it ended after %v", after)
	}
}

func TestUnusedConnectionsDoNotDelayTheEnd(t *testing.T) {
	after := served(t, fine, func(m *memory, life *Life) {
		life.Secret()
		time.Sleep(openFor - time.Second) // of the bubble
		m.dial("192.0.2.1")
		slow := m.dial("192.0.2.1")
		_, _ = slow.Write([]byte("GET / HT"))
	})
	if after > openFor+headerTime {
		t.Errorf("it ends after %v", after)
	}
}

func TestEndsWhenTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		stop()
		if err := Serve(ctx, newMemory(), nil, fine, NewLife()); err != nil {
			t.Error(err)
		}
	})
}

func TestSlowHeadersAreCutOff(t *testing.T) {
	served(t, fine, func(m *memory, _ *Life) {
		c := m.dial("192.0.2.1")
		begin := time.Now()
		_, _ = c.Write([]byte("GET / HTTP/1.1\r\nX-Slow: "))
		for {
			if _, err := c.Write([]byte("a")); err != nil {
				break
			}
			time.Sleep(100 * time.Millisecond) // of the bubble
		}
		if after := time.Since(begin); after > headerTime+time.Second {
			t.Errorf("closed after %v", after)
		}
	})
}

func TestLargeHeadersAreRefused(t *testing.T) {
	served(t, fine, func(m *memory, _ *Life) {
		c := m.dial("192.0.2.1")
		go func() {
			_, _ = c.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\nX-Large: "))
			for range 2 * maxHeader / 1024 {
				if _, err := c.Write(make([]byte, 1024)); err != nil {
					return
				}
			}
		}()
		answer, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || answer.StatusCode < 400 {
			t.Errorf("%v, %v", answer, err)
		}
		_ = c.Close()
	})
}

func TestConnectionsOfAnAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		proxy := netip.MustParseAddr("198.51.100.1")
		l := Limited(m, func(a netip.Addr) bool { return a == proxy })
		accepted := make(chan net.Conn, 1000)
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				accepted <- c
			}
		}()
		for i := range mostConnsEach + 5 {
			m.dial([]string{"2001:db8::1", "2001:db8::2"}[i%2]) // of one subscriber
		}
		synctest.Wait()
		if len(accepted) != mostConnsEach {
			t.Errorf("%d connections of one address", len(accepted))
		}
		m.dial("192.0.2.9")
		for range mostConnsEach + 5 {
			m.dial("198.51.100.1")
		}
		synctest.Wait()
		if want := 2*mostConnsEach + 6; len(accepted) != want {
			t.Errorf("%d connections, want %d", len(accepted), want)
		}
		first := <-accepted
		_ = first.Close()
		_ = first.Close() // counts once
		m.dial("2001:db8::3")
		m.dial("2001:db8::4")
		synctest.Wait()
		if want := 2*mostConnsEach + 6; len(accepted) != want {
			t.Errorf("after a close %d connections, want %d", len(accepted), want)
		}
		_ = l.Close()
	})
}

// TestConnectionsOfANetwork: whoever has many networks of IPv6 leaves room for others.
func TestConnectionsOfANetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		l := Limited(m, func(netip.Addr) bool { return false })
		accepted := make(chan net.Conn, mostConns)
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				accepted <- c
			}
		}()
		for i := range mostConns + 1 {
			go m.dial(fmt.Sprintf("2001:db8:7:%x::1", i))
		}
		synctest.Wait()
		go m.dial("2001:db8:8::1")
		synctest.Wait()
		if len(accepted) != mostConnsNet+1 {
			t.Errorf("%d connections, want %d of one network and one of another", len(accepted), mostConnsNet)
		}
		_ = l.Close()
	})
}

func TestRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answered, refused := 0, 0
		count := func(n *int) http.Handler {
			return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { *n++ })
		}
		from := netip.MustParseAddr("192.0.2.1")
		h := Rated(count(&answered), count(&refused), func(*http.Request) netip.Addr { return from })
		ask := func(method string, n int) {
			for range n {
				r, err := http.NewRequestWithContext(t.Context(), method, "/", nil)
				if err != nil {
					t.Fatal(err)
				}
				h.ServeHTTP(nil, r)
			}
		}
		ask(http.MethodPost, 1000)
		if answered != formsAtOnce || refused != 1000-formsAtOnce {
			t.Errorf("%d answered, %d refused", answered, refused)
		}
		ask(http.MethodGet, pagesAtOnce) // have a rate of their own
		if answered != formsAtOnce+pagesAtOnce {
			t.Errorf("%d answered", answered)
		}
		time.Sleep(time.Second) // of the bubble
		ask(http.MethodPost, 1000)
		if want := formsAtOnce + pagesAtOnce + formsPerSecond; answered != want {
			t.Errorf("%d answered, want %d", answered, want)
		}
		from = netip.MustParseAddr("192.0.2.2")
		ask(http.MethodPost, 1)
		if want := formsAtOnce + pagesAtOnce + formsPerSecond + 1; answered != want {
			t.Errorf("another address: %d answered, want %d", answered, want)
		}
	})
}

func TestRatesAreBounded(t *testing.T) {
	r := &rates{limit: 1, burst: 1}
	a := netip.MustParseAddr("10.0.0.0")
	for range 3 * mostPlaces {
		if !r.allow(a) {
			t.Fatalf("%v is refused", a)
		}
		a = a.Next()
	}
	if len(r.places) > mostPlaces {
		t.Errorf("%d places are kept", len(r.places))
	}
}

func TestPlainNeedsLoopback(t *testing.T) {
	for address, want := range map[string]error{"127.0.0.1": nil, "127.8.9.1": nil, "::1": nil, "0.0.0.0": ErrPlain, "::": ErrPlain, "192.0.2.1": ErrPlain} {
		pair, err := Pair("", &net.TCPAddr{IP: net.ParseIP(address)})
		if !errors.Is(err, want) || pair != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
	if _, err := Pair("", &net.UnixAddr{Name: "/x"}); !errors.Is(err, ErrPlain) {
		t.Errorf("%v", err)
	}
}

func TestStartedByHand(t *testing.T) {
	if l, err := Listen(); !errors.Is(err, ErrNoSocket) {
		t.Errorf("%v, %v", l, err)
	}
}
