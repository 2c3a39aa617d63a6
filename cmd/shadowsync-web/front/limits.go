package front

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"

	"golang.org/x/net/netutil"
	"golang.org/x/time/rate"
)

// The limits. A browser opens at most six connections; some persons may share an address.
const (
	mostConns      = 256
	mostConnsEach  = 32
	mostConnsNet   = mostConns / 2 // of a network of IPv6, where one subscriber may have 2^16 places
	pagesPerSecond = 200           // of an address
	pagesAtOnce    = 400
	formsPerSecond = 5 // of an address
	formsAtOnce    = 50
	mostPlaces     = 4096 // addresses whose rates are kept
)

// place is the part of an address that one subscriber has: of IPv6, the first 64 bits.
func place(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		prefix, _ := a.Prefix(64) // of IPv6, 64 bits are never too many
		return prefix.Addr()
	}
	return a
}

// A share is how many connections a part of the addresses may have.
type share struct {
	of   netip.Prefix
	most int
}

// shares are those that a connection from an address counts for: of its place and, of IPv6, of its network.
func shares(a netip.Addr) []share {
	a = place(a)
	all := []share{{netip.PrefixFrom(a, a.BitLen()), mostConnsEach}}
	if a.Is6() {
		all = append(all, share{netip.PrefixFrom(a, 48).Masked(), mostConnsNet})
	}
	return all
}

// Limited bounds the connections, in total and of each address that is no proxy. Beyond the total,
// connections wait in the kernel's queue; beyond an address's share, they are closed.
func Limited(l net.Listener, proxy func(netip.Addr) bool) net.Listener {
	return netutil.LimitListener(&fairListener{Listener: l, proxy: proxy, open: map[netip.Prefix]int{}}, mostConns)
}

type fairListener struct {
	net.Listener
	proxy func(netip.Addr) bool

	mu   sync.Mutex
	open map[netip.Prefix]int
}

func (l *fairListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		peer := addressOf(conn.RemoteAddr().String())
		if l.proxy(peer) {
			return conn, nil
		}
		if of := shares(peer); l.enter(of) {
			return &counted{Conn: conn, leave: sync.OnceFunc(func() { l.leave(of) })}, nil
		}
		_ = conn.Close()
	}
}

func (l *fairListener) enter(of []share) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if slices.ContainsFunc(of, func(s share) bool { return l.open[s.of] >= s.most }) {
		return false
	}
	for _, s := range of {
		l.open[s.of]++
	}
	return true
}

func (l *fairListener) leave(of []share) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range of {
		if l.open[s.of]--; l.open[s.of] == 0 {
			delete(l.open, s.of)
		}
	}
}

type counted struct {
	net.Conn
	leave func()
}

func (c *counted) Close() error {
	c.leave()
	return c.Conn.Close()
}

// Rated answers only as many requests of an address as it may send; the others go to refuse, which must be
// cheap. Forms may carry a password and cost more than pages, so they have a lower rate.
func Rated(h, refuse http.Handler, address func(*http.Request) netip.Addr) http.Handler {
	pages := &rates{limit: pagesPerSecond, burst: pagesAtOnce}
	forms := &rates{limit: formsPerSecond, burst: formsAtOnce}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, by := place(address(r)), pages
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			by = forms
		}
		if !by.allow(from) {
			refuse.ServeHTTP(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// rates has a rate for each place.
type rates struct {
	limit rate.Limit
	burst int

	mu     sync.Mutex
	places map[netip.Addr]*rate.Limiter
}

func (r *rates) allow(at netip.Addr) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.places == nil {
		r.places = map[netip.Addr]*rate.Limiter{}
	}
	limiter := r.places[at]
	if limiter == nil {
		if len(r.places) >= mostPlaces {
			r.forget()
		}
		limiter = rate.NewLimiter(r.limit, r.burst)
		r.places[at] = limiter
	}
	return limiter.Allow()
}

// forget drops the places that have used nothing up for a while. If there are none, it drops all: an
// attacker from thousands of places is slowed down by the daemon, and by mostConns.
func (r *rates) forget() {
	for at, limiter := range r.places {
		if limiter.Tokens() >= float64(r.burst) {
			delete(r.places, at)
		}
	}
	if len(r.places) >= mostPlaces {
		clear(r.places)
	}
}
