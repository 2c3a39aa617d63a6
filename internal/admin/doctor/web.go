package doctor

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/textproto"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/shadowsync/shadowsync/internal/account/shadowfile"
	"github.com/shadowsync/shadowsync/internal/admin/setup"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/password/pamstack"
	"github.com/shadowsync/shadowsync/internal/term/plural"
	"github.com/shadowsync/shadowsync/internal/term/printable"
	"github.com/shadowsync/shadowsync/shadowsync/web"
	"github.com/shadowsync/shadowsync/systemd"
)

// pageTime limits a request to the page. Its process may have to start.
const pageTime = 10 * time.Second

// longestStatus bounds the status line of the page, in bytes.
const longestStatus = 200

// hasPage reports whether there is a page to check. Its program may be in a package that was removed.
func (e *exam) hasPage() bool {
	_, err := os.Stat(e.Binary + "-web")
	return e.wantsPage() && err == nil
}

func (e *exam) wantsPage() bool { return e.config != nil && e.config.Web.On() }

// mendPage runs setup's steps for the page.
func (e *exam) mendPage() func(context.Context) error {
	return e.repair(setup.StepWeb, setup.StepReload, setup.StepEnable, setup.StepStart)
}

// checkWebAccount: whoever is in another group, too, may do more than pass on what people type.
func checkWebAccount(ctx context.Context, e *exam) verdict {
	there, err := setup.HasWebAccount(ctx, "/")
	switch {
	case err != nil:
		return fail("%v", err)
	case !there:
		return fail("there is no account %s with a group of that name", setup.WebAccount).by("shadowsync setup", e.mendPage())
	}
	c, err := shadowfile.Count(ctx, "/")
	if err != nil {
		return fail("%v", err)
	}
	return assessWebAccount(c)
}

func assessWebAccount(c shadowfile.Census) verdict {
	own := slices.IndexFunc(c.Groups, func(g shadowfile.Group) bool { return g.Name == setup.WebAccount && !g.Shadowed })
	account := slices.IndexFunc(c.Logins, func(l shadowfile.Login) bool { return l.Name == setup.WebAccount })
	if own < 0 || account < 0 {
		return fail("there is no account %s with a group of that name", setup.WebAccount)
	}
	if gid := c.Logins[account].GID; gid != c.Groups[own].GID {
		return fail("the account %s has gid %d, which is not its group", setup.WebAccount, gid).by(fmt.Sprintf("usermod -g %[1]s %[1]s", setup.WebAccount), nil)
	}
	var found []verdict
	for _, g := range c.Groups {
		if g.Name != setup.WebAccount && slices.Contains(g.Members, setup.WebAccount) {
			found = append(found, fail("the account %s is in the group %s, too", setup.WebAccount, g.Name).by("gpasswd -d "+setup.WebAccount+" "+g.Name, nil))
		}
	}
	good := setup.WebAccount + ", in no other group"
	if pages := c.Groups[own].Members; len(pages) > 0 {
		good += "; pages of their own: " + strings.Join(few(pages), ", ")
	}
	return distinct(good, found)
}

// checkWebService reads the stack that proves passwords for the page.
func checkWebService(_ context.Context, e *exam) verdict {
	path := "/etc/pam.d/" + setup.WebAccount
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return fail("%s is missing, so that nobody can sign in", path).by("shadowsync setup", e.mendPage())
	}
	for _, kind := range []pamstack.Kind{pamstack.Auth, pamstack.Account} {
		lines, err := pamstack.Read("/", setup.WebAccount, kind)
		if err != nil {
			return fail("%v", err).person("mend the file", "editor "+path)
		}
		if kind == pamstack.Auth && !pamstack.Stores(lines) {
			return fail("no line of %s checks a password", path).person("mend the file", "editor "+path)
		}
	}
	return pass("%s checks passwords", path)
}

// checkWebAddress compares the drop-ins with the configuration, and what systemd has loaded with them.
func checkWebAddress(ctx context.Context, e *exam) verdict {
	files, err := setup.WebFiles("/", e.config.Web)
	if err != nil {
		return fail("%v", err)
	}
	var found []verdict
	for path, text := range files {
		if !strings.HasPrefix(path, setup.UnitFolders[0]) {
			continue
		}
		if !inroot.Holds("/", path, []byte(text)) {
			found = append(found, fail("%s is not as the configuration says", path).by("shadowsync setup", e.mendPage()))
		}
	}
	if path := setup.WebServiceDropIn; files[path] == "" {
		if _, err := os.Lstat(path); err == nil {
			found = append(found, fail("%s is there, and the configuration names no certificate", path).by("shadowsync setup", e.mendPage()))
		}
	}
	for _, unit := range []string{systemd.PagesSocketUnit, systemd.WebSocketUnit, systemd.WebUnit} {
		found = append(found, e.assessReload(ctx, unit))
	}
	return distinct(e.config.Web.Address().String(), found)
}

// checkWebProxies: behind a proxy that is not named, all visitors have its address.
func checkWebProxies(_ context.Context, e *exam) verdict {
	return assessProxies(e.config.Web, e.Config)
}

func assessProxies(w config.Web, file string) verdict {
	switch {
	case len(w.Proxies) > 0:
		return pass("X-Forwarded-For is believed from %s", strings.Join(few(w.Proxies), ", "))
	case w.Proxies != nil || !w.Address().Addr().IsLoopback():
		return pass("none")
	}
	return warn("the page listens on %s, and web.proxies is not set: if a proxy passes visitors on, all of them have its address, and the limits on guessing take them for one", w.Address()).
		person("name the proxy there, or set web.proxies = [] if there is none", "editor "+file)
}

func checkWebCertificate(_ context.Context, e *exam) verdict {
	w := e.config.Web
	if !w.TLS() {
		return pass("none: plain HTTP, on %s alone", w.Address())
	}
	leaf, err := setup.Certificate("/", w)
	var wrong *setup.CertificateError
	if errors.As(err, &wrong) && wrong.Mode {
		return fail("%v", err).by("chown root "+wrong.Path+" && chmod 600 "+wrong.Path, func(context.Context) error {
			return errors.Join(os.Lchown(wrong.Path, 0, 0), os.Chmod(wrong.Path, 0o600))
		})
	}
	switch {
	case err != nil:
		return fail("%v", err).person("put a certificate and its key there", "ls -l "+w.Certificate+" "+w.Key)
	case leaf == nil:
		return pass("systemd credentials %s and %s", w.Certificate, w.Key)
	}
	return assessCertificate(w.Certificate, leaf, time.Now())
}

func assessCertificate(path string, leaf *x509.Certificate, now time.Time) verdict {
	names := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	why, still := setup.CertificateAge(leaf, now)
	look := "openssl x509 -noout -dates -ext subjectAltName -in " + path
	switch {
	case why != "" && !still:
		return fail("%s: %s", path, why).person("renew it", look)
	case why != "":
		return warn("%s: %s", path, why).person("renew it", look)
	case len(names) == 0:
		return warn("%s has no name (subjectAltName), so that browsers refuse it", path).person("get one with the page's names", look)
	}
	return pass("for %s, %s left", strings.Join(few(names), ", "), plural.Count(int(leaf.NotAfter.Sub(now)/(24*time.Hour)), "day"))
}

// checkWebBroker looks at the socket between page and broker: its mode alone says who may be a page.
func checkWebBroker(ctx context.Context, e *exam) verdict {
	info, err := os.Lstat(web.Path)
	if err != nil {
		return fail("%v", err).by(afresh(e.ours()), startAfresh(e.ours()))
	}
	c, err := shadowfile.Count(ctx, "/")
	if err != nil {
		return fail("%v", err)
	}
	i := slices.IndexFunc(c.Groups, func(g shadowfile.Group) bool { return g.Name == setup.WebAccount && !g.Shadowed })
	st := info.Sys().(*syscall.Stat_t)
	if i < 0 || info.Mode()&os.ModeSocket == 0 || info.Mode().Perm() != 0o660 || st.Uid != 0 || st.Gid != c.Groups[i].GID {
		return fail("%s belongs to uid %d and gid %d with mode %#o; it must be root's and the group's %s, with mode 0660", web.Path, st.Uid, st.Gid, info.Mode().Perm(), setup.WebAccount).by(afresh(e.ours()), startAfresh(e.ours()))
	}
	ctx, cancel := context.WithTimeout(ctx, helloTime)
	defer cancel()
	if _, err := (web.Client{}).Settings(ctx); err != nil {
		return fail("pages get no answer from the broker: %v", err).by(afresh(e.ours()), startAfresh(e.ours()))
	}
	return pass("%s is for the group %s alone, and the broker answers there", web.Path, setup.WebAccount)
}

// checkWeb asks for the page as a browser does.
func checkWeb(ctx context.Context, e *exam) verdict {
	if e.config == nil {
		return notChecked("the configuration cannot be read")
	}
	if !e.wantsPage() {
		return e.assessNoPage(ctx)
	}
	if !e.hasPage() {
		return fail("%s has [web], and the page's program %s-web is missing", e.Config, e.Binary).
			person("install it, or to delete [web] and run shadowsync setup", installPage(ctx))
	}
	look := "journalctl -n 20 -u " + systemd.WebUnit
	w := e.config.Web
	served, status, err := visit(ctx, w)
	switch {
	case err != nil:
		return fail("the page does not answer on %s: %v", w.Address(), err).person("see what it says", look)
	case !strings.HasPrefix(status, "200 "):
		return fail("the page answers on %s, but with %s", w.Address(), status).person("see what it says", look)
	}
	leaf, err := setup.Certificate("/", w)
	if err == nil && leaf != nil && !bytes.Equal(leaf.Raw, served.Raw) {
		return warn("the page still uses a former certificate than that in %s", w.Certificate).by("systemctl try-restart "+systemd.WebUnit, systemctl("try-restart", systemd.WebUnit))
	}
	scheme := "http"
	if w.TLS() {
		scheme = "https"
	}
	return pass("answers on %s://%s", scheme, w.Address())
}

// installPage is the command that brings the page's program, where the packages or the sources are.
func installPage(ctx context.Context) string {
	state, err := exec.CommandContext(ctx, "dpkg-query", "--show", "--showformat=${db:Status-Abbrev}", "shadowsync").Output()
	if err != nil || len(state) < 2 || state[1] != 'i' { // the first letter is what is wanted: 'h' keeps the version
		return "make install"
	}
	return "apt install ./shadowsync-web_*_" + runtime.GOARCH + ".deb"
}

// assessNoPage: what is left of a page would go on to serve.
func (e *exam) assessNoPage(ctx context.Context) verdict {
	for _, unit := range setup.WebUnits {
		enabled, err := setup.Enabled("/", unit)
		if err != nil {
			return fail("%v", err)
		}
		state, err := e.bus.Unit(ctx, unit)
		if err != nil {
			return fail("%v", err)
		}
		if enabled || state.Active == "active" {
			return warn("%s is on, and the configuration has no [web]", unit).by("shadowsync setup", e.mendPage())
		}
	}
	return pass("off")
}

// visit asks for the page's sign-in form from this machine, and returns the rest of the status line (RFC 9112,
// section 4). Whose certificate that is, the caller decides. Package net/http would do more, and be in the memory of
// the daemon and of each of its workers, which are the same program.
func visit(ctx context.Context, w config.Web) (served *x509.Certificate, status string, err error) {
	ctx, cancel := context.WithTimeout(ctx, pageTime)
	defer cancel()
	conn, err := dialPage(ctx, w)
	if err != nil {
		return nil, "", err
	}
	defer conn.Close()
	late, _ := ctx.Deadline()
	if err := conn.SetDeadline(late); err != nil {
		return nil, "", err
	}
	if secure, ok := conn.(*tls.Conn); ok {
		served = secure.ConnectionState().PeerCertificates[0]
	}
	if _, err := fmt.Fprintf(conn, "GET /sign-in HTTP/1.1\r\nHost: localhost:%d\r\nConnection: close\r\n\r\n", w.Address().Port()); err != nil {
		return nil, "", err
	}
	line, err := textproto.NewReader(bufio.NewReader(io.LimitReader(conn, longestStatus))).ReadLine()
	if err != nil {
		return nil, "", err
	}
	version, status, ok := strings.Cut(line, " ")
	if !ok || !strings.HasPrefix(version, "HTTP/") {
		return nil, "", errors.New("what listens there does not speak HTTP")
	}
	return served, printable.Clip(status, longestStatus), nil
}

// dialPage connects to the page, over TLS if it speaks that. The handshake is over then.
func dialPage(ctx context.Context, w config.Web) (net.Conn, error) {
	address := w.Address()
	if a := address.Addr(); a.IsUnspecified() {
		here := netip.AddrFrom4([4]byte{127, 0, 0, 1})
		if a.Is6() {
			here = netip.IPv6Loopback()
		}
		address = netip.AddrPortFrom(here, address.Port())
	}
	if !w.TLS() {
		return new(net.Dialer).DialContext(ctx, "tcp", address.String())
	}
	// This machine asks itself, and sends nothing: what the certificate is worth is another check.
	secure := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}} //nolint:gosec // see above
	return secure.DialContext(ctx, "tcp", address.String())
}
