package front

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync/web"
)

// The times of the settings.
const (
	settingsAge   = time.Minute
	settingsRetry = time.Second // after the daemon did not say
	settingsTime  = 2 * time.Second
)

// mostHops is how many addresses of X-Forwarded-For are looked at.
const mostHops = 16

// Settings keeps what the configuration says, as the daemon tells it. The zero value knows nothing: no
// address is believed to be a proxy.
type Settings struct{ known atomic.Pointer[known] }

type known struct {
	web.Settings
	proxies []netip.Prefix
}

// Refresh asks the daemon. If it does not say, the former answer stays.
func (s *Settings) Refresh(ctx context.Context, c web.Client) error {
	ctx, cancel := context.WithTimeout(ctx, settingsTime)
	defer cancel()
	fresh, err := c.Settings(ctx)
	if err == nil {
		s.known.Store(&known{fresh, prefixes(fresh.Proxies)})
	}
	return err
}

// Keep asks again and again, until ctx ends; soon, if the daemon did not say.
func (s *Settings) Keep(ctx context.Context, c web.Client) {
	for pause := settingsAge; ; pause = settingsAge {
		if s.known.Load() == nil {
			pause = settingsRetry
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
			_ = s.Refresh(ctx, c) // the pages say that the daemon is down
		}
	}
}

// Get returns what is known.
func (s *Settings) Get() web.Settings { return s.now().Settings }

func (s *Settings) now() known {
	if k := s.known.Load(); k != nil {
		return *k
	}
	return known{}
}

// prefixes reads addresses and prefixes; the daemon has checked them.
func prefixes(texts []string) (all []netip.Prefix) {
	for _, text := range texts {
		if a, err := netip.ParseAddr(text); err == nil {
			all = append(all, netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()))
		} else if p, err := netip.ParsePrefix(text); err == nil {
			all = append(all, p.Masked())
		}
	}
	return all
}

// Proxy reports whether an address may name another one in X-Forwarded-For.
func (s *Settings) Proxy(a netip.Addr) bool { return within(s.now().proxies, a) }

func within(proxies []netip.Prefix, a netip.Addr) bool {
	for _, p := range proxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// Address returns the browser's address: the rightmost that is no proxy. What stands further left anybody
// may have written.
func (s *Settings) Address(r *http.Request) netip.Addr {
	proxies := s.now().proxies
	from := addressOf(r.RemoteAddr)
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for n := 1; n <= min(len(hops), mostHops) && within(proxies, from); n++ {
		hop := addressOf(strings.TrimSpace(hops[len(hops)-n]))
		if !hop.IsValid() {
			break
		}
		from = hop
	}
	return from
}

// addressOf reads an address, with or without a port. It is not valid if the text is none.
func addressOf(text string) netip.Addr {
	if both, err := netip.ParseAddrPort(text); err == nil {
		return both.Addr().Unmap().WithZone("")
	}
	a, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}
