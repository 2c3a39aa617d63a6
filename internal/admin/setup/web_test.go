package setup

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/systemd"
)

const withPage = inPlace + "[web]\nlisten = \"[::1]:8443\"\n"

// --web adds a table and takes that away again; it touches nothing that the administrator wrote.
func TestChoosePage(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		page Page
		want string // empty: as it is
		on   bool
		says string // the contradiction
	}{
		"as configured, without": {text: inPlace},
		"as configured, with":    {text: withPage, on: true},
		"on":                     {text: inPlace, page: PageOn, want: inPlace + webTable, on: true},
		"on, last line unended":  {text: strings.TrimSuffix(inPlace, "\n"), page: PageOn, want: inPlace + webTable, on: true},
		"on already":             {text: withPage, page: PageOn, on: true},
		"off":                    {text: inPlace + webTable, page: PageOff, want: inPlace},
		"off already":            {text: inPlace, page: PageOff},
		"off, not ours":          {text: withPage, page: PageOff, says: "delete that table"},
		"off, with keys":         {text: inPlace + webTable + "idle = \"5m\"\n", page: PageOff, says: "delete that table"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := newJob(Options{Root: newRoot(t, c.text), Page: c.page})
			err := j.configure()
			var contradiction *ContradictionError
			if c.says != "" {
				if !errors.As(err, &contradiction) || !strings.Contains(err.Error(), c.says) {
					t.Errorf("configure: %v", err)
				}
				return
			}
			if err != nil || string(j.text) != c.want || j.config.Web.On() != c.on {
				t.Fatalf("configure: %v, the text %q, the page is on: %t", err, j.text, j.config.Web.On())
			}
			if c.want == "" {
				return
			}
			defer j.ledger.close()
			if err := j.writeConfiguration(t.Context()); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(j.Root, config.DefaultPath)
			if text, err := os.ReadFile(path); err != nil || string(text) != c.want {
				t.Errorf("the file: %q, %v", text, err)
			}
			j.result.Steps = []Outcome{{Step: StepConfiguration, State: Done}}
			if err := j.unconfigure(t.Context()); err != nil || j.result.Steps[0].State != TakenBack {
				t.Errorf("unconfigure: %v, %v", err, j.result.Steps)
			}
			if text, err := os.ReadFile(path); err != nil || string(text) != c.text {
				t.Errorf("taken back: %q, %v", text, err)
			}
		})
	}
}

// A configuration that setup wrote itself stays on record when --web changes it, so that remove takes it.
func TestChoosePageOfOurs(t *testing.T) {
	t.Parallel()
	root := newRoot(t, "")
	first := newJob(Options{Root: root, Unit: "128T", Accounts: []string{"admin"}, Store: embedded()})
	defer first.ledger.close()
	if err := errors.Join(first.configure(), first.writeConfiguration(t.Context())); err != nil {
		t.Fatal(err)
	}
	second := newJob(Options{Root: root, Page: PageOn})
	defer second.ledger.close()
	if err := errors.Join(second.configure(), second.writeConfiguration(t.Context())); err != nil {
		t.Fatal(err)
	}
	if left, err := second.ledger.takeBack(t.Context(), config.DefaultPath); err != nil || left {
		t.Errorf("takeBack = %v, %v", left, err)
	}
	fresh := newJob(Options{Root: newRoot(t, ""), Unit: "128T", Accounts: []string{"admin"}, Store: embedded(), Page: PageOn})
	if err := fresh.configure(); err != nil || !fresh.config.Web.On() || !strings.HasSuffix(string(fresh.text), webTable) {
		t.Errorf("a new configuration with a page: %v\n%s", err, fresh.text)
	}
}

func TestWebFiles(t *testing.T) {
	t.Parallel()
	root := newRoot(t, "")
	if files, err := WebFiles(root, config.Web{}); err != nil || files != nil {
		t.Errorf("without a page: %v, %v", files, err)
	}
	plain := config.Web{Listen: "localhost:8443"}
	if _, err := WebFiles(root, plain); err == nil || !strings.Contains(err.Error(), "neither /etc/pam.d/common-auth nor /etc/pam.d/password-auth") {
		t.Errorf("without a stack: %v", err)
	}
	writeFile(t, filepath.Join(root, "etc/pam.d/password-auth"), "")
	writeFile(t, filepath.Join(root, "etc/credstore.encrypted/sealed"), "")
	files, err := WebFiles(root, plain)
	if err != nil || len(files) != 2 || !strings.Contains(files[webService], "auth     include password-auth\n") || strings.Contains(files[webSocketDropIn], "FreeBind") ||
		!strings.HasSuffix(files[webSocketDropIn], "[Socket]\nListenStream=\nListenStream=127.0.0.1:8443\n") {
		t.Errorf("%v\n%v", files, err)
	}
	writeFile(t, filepath.Join(root, "etc/pam.d/common-auth"), "")
	files, err = WebFiles(root, config.Web{Listen: "192.0.2.1:443", Certificate: "/etc/web.crt", Key: "sealed"})
	if err != nil || !strings.HasSuffix(files[webService], "\n@include common-auth\n@include common-account\n") || !strings.HasSuffix(files[webSocketDropIn], "ListenStream=192.0.2.1:443\nFreeBind=yes\n") {
		t.Errorf("%v\n%v", files, err)
	}
	for _, line := range []string{"LoadCredential=web.crt:/etc/web.crt\n", "LoadCredentialEncrypted=web.key:sealed\n", "SetCredential=web.key:unreadable\n"} {
		if !strings.Contains(files[WebServiceDropIn], line) {
			t.Errorf("no %q in\n%s", line, files[WebServiceDropIn])
		}
	}
	files, err = WebFiles(root, config.Web{Listen: "[::]:443", Certificate: "other", Key: "sealed"})
	if err != nil || strings.Contains(files[webSocketDropIn], "FreeBind") || !strings.Contains(files[WebServiceDropIn], "LoadCredential=web.crt:other\n") {
		t.Errorf("%v\n%v", files, err)
	}
}

// The administrator's own lines in the PAM service stay; everything else is as setup writes it.
func TestWebFilesDue(t *testing.T) {
	t.Parallel()
	root := newRoot(t, withPage)
	writeFile(t, filepath.Join(root, "etc/pam.d/common-auth"), "")
	if err := os.MkdirAll(filepath.Join(root, systemUnits), 0o755); err != nil {
		t.Fatal(err)
	}
	j := newJob(Options{Root: root})
	defer j.ledger.close()
	if err := j.configure(); err != nil {
		t.Fatal(err)
	}
	due := func(want ...string) {
		t.Helper()
		if got, err := j.webFilesDue(t.Context()); err != nil || !slices.Equal(got, want) {
			t.Errorf("due: %q, %v; want %q", got, err, want)
		}
	}
	due(webService, webSocketDropIn)
	files, err := WebFiles(root, j.config.Web)
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range files {
		if err := j.ledger.write(t.Context(), path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	due()
	writeFile(t, filepath.Join(root, webService), files[webService]+"account required pam_access.so\n")
	due()
	if err := os.Remove(filepath.Join(root, webService)); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(root, webSocketDropIn), "[Socket]\n")
	due(webService, webSocketDropIn)
	j.config.Web = config.Web{}
	due(webService, webSocketDropIn)
}

// remove --only-page takes the page away, and leaves the configuration and the hooks.
func TestRemoveOnlyThePage(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can remove")
	}
	root := newRoot(t, withPage)
	writeFile(t, filepath.Join(root, "etc/pam.d/common-auth"), "")
	const socketLink, hook = "/etc/systemd/system/sockets.target.wants/" + systemd.WebSocketUnit, "/etc/systemd/system/app.service.d/50-shadowsync.conf"
	for path, text := range map[string]string{socketLink: "", hook: "", "/usr/lib/systemd/system/" + systemd.WebSocketUnit: "", "/etc/passwd": "", "/etc/group": ""} {
		writeFile(t, filepath.Join(root, path), text)
	}
	j := newJob(Options{Root: root})
	if err := j.configure(); err != nil {
		t.Fatal(err)
	}
	files, err := WebFiles(root, j.config.Web)
	if err != nil {
		t.Fatal(err)
	}
	files[hook] = ""
	for path, text := range files {
		if err := j.ledger.write(t.Context(), path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	j.ledger.close()
	result, err := Remove(t.Context(), RemoveOptions{Root: root, OnlyPage: true})
	if want := []Outcome{{Step: StepWeb, What: "no page for browsers", State: Done, will: "take the page for browsers away"}}; err != nil || !slices.Equal(result.Steps, want) {
		t.Errorf("%v, %+v", err, result)
	}
	for _, path := range []string{webService, webSocketDropIn, socketLink} {
		if _, err := os.Lstat(filepath.Join(root, path)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", path, err)
		}
	}
	for path, want := range map[string]string{config.DefaultPath: withPage, hook: ""} {
		if text, err := os.ReadFile(filepath.Join(root, path)); err != nil || string(text) != want {
			t.Errorf("%s: %q, %v", path, text, err)
		}
	}
	if !slices.ContainsFunc(result.Notes, func(n string) bool { return strings.Contains(n, "still has [web]") }) {
		t.Errorf("it does not say that the configuration still has the page: %q", result.Notes)
	}
	again, err := Remove(t.Context(), RemoveOptions{Root: root, OnlyPage: true})
	if err != nil || again.Changed() {
		t.Errorf("again: %v, %+v", err, again)
	}
}

// pair writes a certificate that holds for some time, and its key.
func pair(t *testing.T, root, name string, from, to time.Time) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: to, DNSNames: []string{name}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	certificate, key = "/etc/"+name+".crt", "/etc/"+name+".key"
	writeFile(t, filepath.Join(root, certificate), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	writeFile(t, filepath.Join(root, key), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
	if err := errors.Join(os.Chmod(filepath.Join(root, key), 0o600), os.Chown(filepath.Join(root, key), 0, 0)); err != nil {
		t.Skip(err)
	}
	return certificate, key
}

func TestCertificate(t *testing.T) {
	t.Parallel()
	root, now := newRoot(t, ""), time.Now()
	crt, key := pair(t, root, "one", now.Add(-time.Hour), now.Add(time.Hour))
	other, _ := pair(t, root, "two", now.Add(-time.Hour), now.Add(time.Hour))
	writeFile(t, filepath.Join(root, "etc/credstore/plain"), "")
	leaf, err := Certificate(root, config.Web{Certificate: crt, Key: key})
	if err != nil || leaf == nil || leaf.DNSNames[0] != "one" {
		t.Errorf("%v, %v", leaf, err)
	}
	if leaf, err := Certificate(root, config.Web{Certificate: "plain", Key: key}); err != nil || leaf != nil {
		t.Errorf("a credential: %v, %v", leaf, err)
	}
	for want, w := range map[string]config.Web{
		"no such file":              {Certificate: "/etc/none.crt", Key: key},
		"cannot use /etc/none.key":  {Certificate: crt, Key: "/etc/none.key"},
		"does not match":            {Certificate: other, Key: key},
		"the credential none":       {Certificate: "none", Key: key},
		"failed to find any PEM":    {Certificate: "/etc/hostname", Key: key},
		"/etc/hostname for the pag": {Certificate: "/etc/hostname", Key: "/etc/hostname"},
	} {
		var wrong *CertificateError
		if _, err := Certificate(root, w); !errors.As(err, &wrong) || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", w, err, want)
		}
	}
	if err := os.Chmod(filepath.Join(root, key), 0o644); err != nil {
		t.Fatal(err)
	}
	var wrong *CertificateError
	if _, err := Certificate(root, config.Web{Certificate: crt, Key: key}); !errors.As(err, &wrong) || !wrong.Mode {
		t.Errorf("a key that others may read: %v", err)
	}
}

func TestCertificateAge(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	for _, c := range []struct {
		from, to time.Duration
		why      string
		ends     bool
	}{
		{-day, 20 * day, "", true},
		{-day, 10 * day, "it expires on 2026-03-11, in less than 11 days", true},
		{-day, -time.Hour, "it expired on 2026-03-01", false},
		{day, 20 * day, "it is valid only from 2026-03-02 on", false},
	} {
		why, ends := CertificateAge(&x509.Certificate{NotBefore: now.Add(c.from), NotAfter: now.Add(c.to)}, now)
		if why != c.why || ends != c.ends {
			t.Errorf("%v to %v: %q, %t", c.from, c.to, why, ends)
		}
	}
}

// The page may be a package of its own: without it, the rest can be set up.
func TestSpared(t *testing.T) {
	t.Parallel()
	on := &config.Config{Web: config.Web{Listen: config.DefaultListen}}
	for _, unit := range []string{systemd.WebUnit, systemd.WebSocketUnit} {
		if Spared(on, unit) || !Spared(&config.Config{}, unit) || !Spared(nil, unit) {
			t.Errorf("%s is needed without a page, or not with one", unit)
		}
	}
	for _, unit := range append(slices.Clone(OurUnits), systemd.PagesSocketUnit) {
		if Spared(&config.Config{}, unit) {
			t.Errorf("%s is not needed", unit)
		}
	}
}
