package config

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// DefaultListen is where the page listens unless web.listen says otherwise.
const DefaultListen = "127.0.0.1:8443"

// Web is the page for browsers. Without the table there is none.
type Web struct {
	// Listen is the address, as "host:port"; empty: the file has no [web].
	Listen string `toml:"listen"`
	// Certificate and Key are PEM files, or names of systemd credentials. Without them the page speaks
	// plain HTTP, on a loopback address alone.
	Certificate string `toml:"certificate"`
	Key         string `toml:"key"`
	// Proxies are IP addresses, or prefixes of them, whose X-Forwarded-For is believed. Nil: the file does not say
	// whether there are any; empty: it says that there are none.
	Proxies []string `toml:"proxies"`
	Idle    Duration `toml:"idle"`  // without a request a session ends: 1s to 24h, default 15m
	Total   Duration `toml:"total"` // a session ends in any case: 1s to 168h, default 8h
}

// On reports whether the file asks for the page.
func (w Web) On() bool { return w.Listen != "" }

// TLS reports whether the page speaks TLS itself.
func (w Web) TLS() bool { return w.Certificate != "" }

// Address is the address that the page's socket is bound to: localhost is 127.0.0.1.
func (w Web) Address() netip.AddrPort {
	address, _ := listenAddress(w.Listen) // validate has checked it
	return address
}

func listenAddress(listen string) (netip.AddrPort, bool) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return netip.AddrPort{}, false
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	address, err := netip.ParseAddr(host)
	number, bad := strconv.ParseUint(port, 10, 16)
	return netip.AddrPortFrom(address.Unmap(), uint16(number)), err == nil && bad == nil && number > 0 && address.Zone() == ""
}

// isAddressOrPrefix reports whether the text is an IP address, or a prefix of them as "10.0.0.0/8".
func isAddressOrPrefix(s string) bool {
	if strings.Contains(s, "/") {
		_, err := netip.ParsePrefix(s)
		return err == nil
	}
	address, err := netip.ParseAddr(s)
	return err == nil && address.Zone() == ""
}

// credentialOrPath allows a file, and a name that systemd looks for among its credentials.
func credentialOrPath(s string) bool { return plainPathForm.Is(s) || PlainName(s) }

func (w Web) validate() error {
	switch {
	case (w.Certificate == "") != (w.Key == ""):
		return at("web", "web.certificate and web.key: one needs the other")
	case w.On() && !w.TLS() && !w.Address().Addr().IsLoopback():
		return at("web.listen", "web.listen = %q: not a loopback address, so web.certificate and web.key are needed; without them set listen = %q and put a proxy in front", w.Listen, DefaultListen)
	}
	return nil
}
