package front

import (
	"net/http"
	"testing"

	"github.com/shadowsync/shadowsync/shadowsync/web"
)

func TestAddress(t *testing.T) {
	proxies := web.Settings{Proxies: []string{"127.0.0.1", "10.0.0.0/8", "2001:db8::1", "nonsense"}}
	for _, tt := range []struct {
		peer    string
		headers []string
		want    string
	}{
		{"192.0.2.1:4711", nil, "192.0.2.1"},
		{"192.0.2.1:4711", []string{"203.0.113.9"}, "192.0.2.1"}, // no proxy: anybody can write that
		{"127.0.0.1:4711", nil, "127.0.0.1"},
		{"127.0.0.1:4711", []string{"203.0.113.9"}, "203.0.113.9"},
		{"127.0.0.1:4711", []string{"6.6.6.6, 203.0.113.9"}, "203.0.113.9"},
		{"127.0.0.1:4711", []string{"6.6.6.6, 203.0.113.9, 10.1.2.3"}, "203.0.113.9"},
		{"127.0.0.1:4711", []string{"6.6.6.6", "203.0.113.9,10.1.2.3"}, "203.0.113.9"},
		{"127.0.0.1:4711", []string{"203.0.113.9:80, [2001:db8::1]:443"}, "203.0.113.9"},
		{"127.0.0.1:4711", []string{"6.6.6.6, evil"}, "127.0.0.1"},
		{"127.0.0.1:4711", []string{""}, "127.0.0.1"},
		{"127.0.0.1:4711", []string{"10.1.1.1"}, "10.1.1.1"},
		{"[2001:db8::1]:4711", []string{"fe80::1%eth0"}, "fe80::1"},
		{"[::ffff:127.0.0.1]:4711", []string{"::ffff:203.0.113.9"}, "203.0.113.9"},
	} {
		var s Settings
		s.known.Store(&known{proxies, prefixes(proxies.Proxies)})
		r := &http.Request{RemoteAddr: tt.peer, Header: http.Header{"X-Forwarded-For": tt.headers}}
		if got := s.Address(r).String(); got != tt.want {
			t.Errorf("%s, %q: %s, want %s", tt.peer, tt.headers, got, tt.want)
		}
	}
}

// While the daemon has said nothing, nobody is believed.
func TestAddressWithoutSettings(t *testing.T) {
	var s Settings
	if err := s.Refresh(t.Context(), web.Client{Path: "/nonexistent"}); err == nil {
		t.Error("a daemon that is not there has answered")
	}
	r := &http.Request{RemoteAddr: "127.0.0.1:1", Header: http.Header{"X-Forwarded-For": {"203.0.113.9"}}}
	if got := s.Address(r).String(); got != "127.0.0.1" || s.Get().Node != "" {
		t.Errorf("%s", got)
	}
}
