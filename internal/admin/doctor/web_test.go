package doctor

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/account/shadowfile"
	"github.com/shadowsync/shadowsync/internal/config"
)

func TestAssessWebAccount(t *testing.T) {
	t.Parallel()
	census := func(gid uint32, groups ...shadowfile.Group) shadowfile.Census {
		return shadowfile.Census{Logins: []shadowfile.Login{{Name: "shadowsync-web", UID: 990, GID: gid}}, Groups: groups}
	}
	own := shadowfile.Group{Name: "shadowsync-web", GID: 990}
	pages := own
	pages.Members = []string{"gui"}
	for name, c := range map[string]struct {
		is    shadowfile.Census
		state State
		says  string
	}{
		"as it must be": {census(990, own), OK, "in no other group"},
		"other pages":   {census(990, pages), OK, "pages of their own: gui"},
		"no account":    {shadowfile.Census{Groups: []shadowfile.Group{own}}, Fail, "there is no account"},
		"no group":      {census(990), Fail, "there is no account"},
		"another gid":   {census(0, own), Fail, "has gid 0"},
		"member":        {census(990, own, shadowfile.Group{Name: "adm", Members: []string{"shadowsync-web"}}), Fail, "is in the group adm, too"},
		"by newgrp":     {census(990, own, shadowfile.Group{Name: "adm", Shadowed: true, Members: []string{"shadowsync-web"}}), Fail, "is in the group adm, too"},
	} {
		if got := assessWebAccount(c.is); got.state != c.state || !strings.Contains(got.detail, c.says) {
			t.Errorf("%s: %s %q", name, got.state, got.detail)
		}
	}
}

// TestAssessProxies: only where a proxy is likely, and where the file does not say whether there is one.
func TestAssessProxies(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		web   config.Web
		state State
		says  string
	}{
		"on loopback":               {config.Web{Listen: "127.0.0.1:8443"}, Warn, "all of them have its address"},
		"on loopback, by name":      {config.Web{Listen: "localhost:8443"}, Warn, "listens on 127.0.0.1:8443"},
		"on loopback, in IPv6":      {config.Web{Listen: "[::1]:8443"}, Warn, "set web.proxies = [] if there is none"},
		"on loopback, with TLS":     {config.Web{Listen: "127.0.0.1:8443", Certificate: "/c", Key: "/k"}, Warn, "the limits on guessing"},
		"a proxy":                   {config.Web{Listen: "127.0.0.1:8443", Proxies: []string{"127.0.0.1"}}, OK, "from 127.0.0.1"},
		"none, said so":             {config.Web{Listen: "127.0.0.1:8443", Proxies: []string{}}, OK, "none"},
		"for the network":           {config.Web{Listen: "0.0.0.0:443", Certificate: "/c", Key: "/k"}, OK, "none"},
		"for the network, in IPv6":  {config.Web{Listen: "[::]:443", Certificate: "/c", Key: "/k"}, OK, "none"},
		"for the network, by proxy": {config.Web{Listen: "0.0.0.0:443", Certificate: "/c", Key: "/k", Proxies: []string{"10.0.0.0/8"}}, OK, "10.0.0.0/8"},
	} {
		got := assessProxies(c.web, "/etc/shadowsync.toml")
		if got.state != c.state || !strings.Contains(got.detail, c.says) || (got.state == OK) != (got.command == "") || got.mend != nil {
			t.Errorf("%s: %s %q, %q", name, got.state, got.detail, got.command)
		}
	}
}

func TestAssessCertificate(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	named := []string{"node1"}
	for _, c := range []struct {
		names    []string
		from, to time.Duration
		state    State
		says     string
	}{
		{named, -day, 30 * day, OK, "for node1, 30 days left"},
		{named, -day, 5 * day, Warn, "it expires on 2026-03-06"},
		{named, -2 * day, -day, Fail, "it expired on 2026-02-28"},
		{named, day, 30 * day, Fail, "it is valid only from 2026-03-02 on"},
		{nil, -day, 30 * day, Warn, "browsers refuse it"},
	} {
		got := assessCertificate("/etc/web.crt", &x509.Certificate{DNSNames: c.names, NotBefore: now.Add(c.from), NotAfter: now.Add(c.to)}, now)
		if got.state != c.state || !strings.Contains(got.detail, c.says) || got.state != OK && !strings.Contains(got.command, "/etc/web.crt") {
			t.Errorf("%+v: %s %q, %q", c, got.state, got.detail, got.command)
		}
	}
}

// TestInstallPage: also where the package is kept at its version (apt-mark hold), it is a package that is missing.
func TestInstallPage(t *testing.T) {
	for said, packaged := range map[string]bool{"ii ": true, "hi ": true, "rc ": false, "un ": false, "": false} {
		bin := t.TempDir()
		if err := os.WriteFile(filepath.Join(bin, "dpkg-query"), []byte("#!/bin/sh\nprintf '%s' '"+said+"'\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PATH", bin)
		if command := installPage(t.Context()); strings.HasPrefix(command, "apt install ") != packaged {
			t.Errorf("dpkg says %q: %s", said, command)
		}
	}
}
