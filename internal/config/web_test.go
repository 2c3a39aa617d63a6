package config

import (
	"strings"
	"testing"
	"time"
)

func TestWebIsOffWithoutItsTable(t *testing.T) {
	c, err := Parse([]byte(smallest))
	if err != nil || c.Web.On() {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestWebDefaults(t *testing.T) {
	c, err := Parse([]byte("[web]\n" + smallest))
	if err != nil {
		t.Fatal(err)
	}
	w := c.Web
	if !w.On() || w.TLS() || w.Address().String() != "127.0.0.1:8443" || time.Duration(w.Idle) != 15*time.Minute || time.Duration(w.Total) != 8*time.Hour {
		t.Errorf("got %+v", w)
	}
	if w.Proxies != nil {
		t.Errorf("the file says nothing about proxies, got %v", w.Proxies)
	}
	if c, err := Parse([]byte("[web]\nproxies = []\n" + smallest)); err != nil || c.Web.Proxies == nil {
		t.Errorf("the file says that there is no proxy: %v, %v", c.Web.Proxies, err)
	}
}

func TestWebAddress(t *testing.T) {
	const pair = "\ncertificate = '/etc/web.crt'\nkey = 'web.key'\n"
	for listen, want := range map[string]string{
		"localhost:80":          "127.0.0.1:80",
		"[::1]:8443":            "[::1]:8443",
		"0.0.0.0:443":           "0.0.0.0:443",
		"[::]:443":              "[::]:443",
		"[::ffff:10.0.0.1]:443": "10.0.0.1:443",
	} {
		c, err := Parse([]byte("[web]\nlisten = '" + listen + "'" + pair + smallest))
		if err != nil {
			t.Errorf("%s: %v", listen, err)
		} else if got := c.Web.Address().String(); got != want {
			t.Errorf("%s: got %s, want %s", listen, got, want)
		}
	}
}

func TestWebNamesTheFault(t *testing.T) {
	for text, want := range map[string]string{
		"listen = ':443'":             "an IP address or localhost",
		"listen = 'node1:443'":        "an IP address or localhost",
		"listen = '127.0.0.1'":        "host:port",
		"listen = '127.0.0.1:0'":      "host:port",
		"listen = '127.0.0.1:66000'":  "host:port",
		"listen = '[fe80::1%lo]:443'": "host:port",
		"listen = '0.0.0.0:443'":      `web.certificate and web.key are needed; without them set listen = "127.0.0.1:8443"`,
		"listen = '[::]:443'":         "are needed",
		"certificate = '/etc/w.crt'":  "one needs the other",
		"key = '/etc/w.key'":          "one needs the other",
		"certificate = 'etc/w.crt'":   "an absolute path",
		"certificate = '/etc/%h.crt'": "an absolute path",
		"key = '/etc/w.crt:x'":        "an absolute path",
		"proxies = ['nginx']":         "an IP address",
		"proxies = ['10.0.0.1/33']":   "an IP address",
		"proxies = '10.0.0.1'":        "a list of strings",
		"idle = '0s'":                 "from 1s to 24h",
		"total = '169h'":              "from 1s to 168h",
		"lissen = 'x'":                `unknown key "lissen"`,
	} {
		_, err := Parse([]byte("[web]\n" + text + "\n" + smallest))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}
