package scenes

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/eventually"
	"github.com/shadowsync/shadowsync/internal/test/machine"
)

const (
	annaOld = "Gr4vel-in-the-shoe"
	annaNew = "Three.wet.Horses"
)

// slapdFiles are a directory with accounts. user222 has a local account, too, eve is in a group that amounts
// to root, and anna in one of the name of a local group.
const slapdFiles = `set -e
systemctl stop slapd nslcd sssd
mkdir -p /root/ldap && chmod 755 /root/ldap
cat >/root/ldap/slapd.conf <<'END'
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/nis.schema
modulepath /usr/lib/ldap
moduleload back_mdb
database mdb
directory /root/ldap/db
suffix dc=example,dc=net
rootdn cn=admin,dc=example,dc=net
rootpw root-of-it
access to attrs=userPassword by self write by anonymous auth by * none
access to * by * read
END
mkdir -p /root/ldap/db
cat >/root/ldap/all.ldif <<END
dn: dc=example,dc=net
objectClass: dcObject
objectClass: organization
dc: example
o: Example
$(for one in anna:7001 eve:7002 user222:7003 bea:7004; do
name=${one%:*}
shell=/usr/bin/pcli
test $name != bea || shell=/bin/sh
printf '\ndn: uid=%s,dc=example,dc=net\nobjectClass: account\nobjectClass: posixAccount\nuid: %s\ncn: %s\nuidNumber: %s\ngidNumber: 7000\nhomeDirectory: /home/%s\nloginShell: %s\nuserPassword: %s\n' $name $name $name ${one#*:} $name $shell "$1"
done)

dn: cn=people,dc=example,dc=net
objectClass: posixGroup
cn: people
gidNumber: 7000

dn: cn=docker,dc=example,dc=net
objectClass: posixGroup
cn: docker
gidNumber: 7900
memberUid: eve

dn: cn=operators,dc=example,dc=net
objectClass: posixGroup
cn: operators
gidNumber: 7901
memberUid: anna
END
slapadd -f /root/ldap/slapd.conf -l /root/ldap/all.ldif
systemd-run --quiet --unit=directory slapd -d 0 -f /root/ldap/slapd.conf -h ldap://127.0.0.1/
timeout 30 sh -c 'until ldapsearch -x -H ldap://127.0.0.1 -b dc=example,dc=net uid=anna | grep -q 7001; do sleep 0.1; done'
for one in anna:7001 eve:7002 bea:7004; do install -d -m 700 -o ${one#*:} -g 7000 /home/${one%:*}; done
`

const useSSSD = `set -e
cat >/etc/sssd/sssd.conf <<'END'
[sssd]
services = nss, pam
domains = example
[domain/example]
id_provider = ldap
ldap_uri = ldap://127.0.0.1
ldap_search_base = dc=example,dc=net
ldap_auth_disable_tls_never_use_in_production = true
ldap_schema = rfc2307
cache_credentials = true
END
chmod 600 /etc/sssd/sssd.conf
pam-auth-update --package --remove ldap && rm /usr/share/pam-configs/ldap
systemctl start sssd
`

const useNSLCD = `set -e
sed -i 's/sss/ldap/' /etc/nsswitch.conf
pam-auth-update --package --remove sss && rm /usr/share/pam-configs/sss
systemctl start nslcd
`

// inDirectory is a stage with a directory that pcli lets in, asked by the given script.
func inDirectory(t *testing.T, client string) *stage {
	t.Helper()
	m := machine.BootWith(t, machine.Bookworm, machine.Options{Layer: machine.Directory})
	m.InstallAppliance(machine.Appliance{})
	m.InstallShadowsync()
	m.Configure("[[application]]", "[roles]\nadmin = [\"operators\"]\n\n[second_factor]\nldap = true\n\n[[application]]")
	s := &stage{T: m, t: t}
	s.MustShell("groupadd operators && usermod -aG operators admin && echo /usr/bin/pcli >>/etc/shells && usermod -s /usr/bin/pcli admin")
	s.Must("sh", "-c", slapdFiles, "sh", annaOld)
	s.MustShell(client)
	s.Must("shadowsync", "setup", "--first", "os")
	return s
}

// TestDirectoryBySSSD and TestDirectoryByNSLCD: an account of a directory logs in to pcli, changes its password
// at the directory, and has its second factor with shadowsync, nothing else.
func TestDirectoryBySSSD(t *testing.T) {
	t.Parallel()
	inDirectory(t, useSSSD).playsDirectory("sss")
}

func TestDirectoryByNSLCD(t *testing.T) {
	t.Parallel()
	inDirectory(t, useNSLCD).playsDirectory("ldap")
}

func (s *stage) playsDirectory(service string) {
	s.sub("rights", func(s *stage) { s.directoryRights(service) })
	s.sub("stopped", func(s *stage) { s.stoppedService(service) })
	s.sub("both", func(s *stage) { s.inBoth(service) })
	anna := s.directoryPassword()
	s.sub("page", func(s *stage) { s.directoryAtPage(anna) })
	s.sub("login", func(s *stage) { s.directoryLogin() })
	s.sub("reset", func(s *stage) { anna = s.directoryReset(anna) })
	s.sub("silent", func(s *stage) { s.silentDirectory(anna) })
	s.sub("down", func(s *stage) { s.noDirectory(anna) })
}

// asAnna is a command that anna runs: /etc/passwd does not have her.
func asAnna(args ...string) []string {
	return append([]string{"setpriv", "--reuid=7001", "--regid=7000", "--clear-groups"}, args...)
}

// binds reports whether the directory takes a password of anna's.
func (s *stage) binds(password string) bool {
	s.t.Helper()
	return s.Run("ldapwhoami", "-x", "-H", "ldap://127.0.0.1", "-D", "uid=anna,dc=example,dc=net", "-w", password).Code == 0
}

// directoryRights: an account of a directory has its own rights in pcli and no others, and only if the
// configuration lets it in. What would change its password here names the directory.
func (s *stage) directoryRights(service string) {
	d := s.SSH("anna", annaOld)
	d.Expect("anna@node1.conductor> ", machine.Patience)
	if shown := unbroken(asked(d, "show user")); !strings.Contains(shown, "Realm: ldap") || !strings.Contains(shown, "Role: user") {
		s.t.Errorf("show user shows\n%s", shown)
	}
	d.Send("exit\n")
	if r := s.Run(asAnna("pcli", "-c", "show user admin")...); r.Code != 5 {
		s.t.Errorf("another account: %s", r)
	}
	if r := s.Run(asAnna("pcli", "-c", "disconnect user force admin")...); r.Code != 2 {
		s.t.Errorf("a command of administrators: %s", r)
	}
	if shown := s.Must("shadowsync", "user", "show", "--json", "anna"); !strings.Contains(shown, `"realm": "ldap"`) || !strings.Contains(shown, `"directory": "`+service+`"`) {
		s.t.Errorf("user show --json prints %s", shown)
	}
	for _, words := range []string{"reset password", "lock", "expire password"} {
		r := s.Run("sh", "-c", "shadowsync user "+words+" anna")
		if r.Code != 8 || !strings.Contains(r.Stderr, "anna is an account of the directory ("+service+")") {
			s.t.Errorf("user %s: %s", words, r)
		}
	}
	s.Must("sed", "-i", "s/^ldap = true/ldap = false/", "/etc/shadowsync/shadowsync.toml")
	s.Must("systemctl", "restart", "shadowsync.service")
	if r := s.Run(asAnna("pcli", "-c", "show user")...); r.Code != 8 {
		s.t.Errorf("pcli, not let in: %s", r)
	}
	if r := s.Run("shadowsync", "user", "reset", "password", "anna"); r.Code != 5 {
		s.t.Errorf("reset password, not let in: %s", r)
	}
	s.Must("sed", "-i", "s/^ldap = false/ldap = true/", "/etc/shadowsync/shadowsync.toml")
	s.Must("systemctl", "restart", "shadowsync.service")
}

// stoppedService: while nslcd or sssd is stopped, nothing is said of whether an account is there, and none gets rights. Once it
// is back, accounts that are not there are told as such, also by names that nslcd refuses to be asked for.
func (s *stage) stoppedService(service string) {
	unit := map[string]string{"sss": "sssd", "ldap": "nslcd"}[service]
	s.MustShell("systemctl stop " + unit + "; rm -f /var/lib/sss/mc/*") // which libnss_sss reads without asking
	text := "the directory does not answer (" + service + ")"
	for _, words := range []string{"show anna", "show nobody-there", "reset password anna", "reset 2fa ldap anna"} {
		r := s.Shell("shadowsync user " + words)
		if r.Code != 9 || !strings.Contains(r.Stderr, text) || strings.Contains(r.Stderr, "no application manages") {
			s.t.Errorf("user %s, while %s is stopped: %s", words, unit, r)
		}
	}
	// Not anna: what was said of her counts for a minute.
	if r := s.Run("setpriv", "--reuid=7002", "--regid=7000", "--clear-groups", "pcli", "-c", "show user"); r.Code != 9 || !strings.Contains(r.Stderr, "the directory does not answer") {
		s.t.Errorf("pcli, while %s is stopped: %s", unit, r)
	}
	s.Must("systemctl", "start", unit)
	s.eventually("the directory is back", machine.Patience, func() bool { return s.Run("shadowsync", "user", "show", "anna").Code == 0 })
	for _, name := range []string{"nobody-there", "j\u00fcrgen", "a b/c"} {
		if r := s.Run("shadowsync", "user", "show", name); r.Code != 5 {
			s.t.Errorf("user show %s: %s", name, r)
		}
	}
	s.Must("sed", "-i", "s/^shadow:.*:$/&bea/", "/etc/group")
	if shown := s.Must("shadowsync", "user", "show", "bea", "--json"); !strings.Contains(shown, `"protected": "member of shadow"`) {
		s.t.Errorf("an account of the directory in a local group: %s", shown)
	}
	s.Must("sed", "-i", "/^shadow:/s/bea$//", "/etc/group")
}

// inBoth: a name in /etc/shadow is local, and doctor says that the directory's password opens it, too.
func (s *stage) inBoth(service string) {
	if shown := s.Must("shadowsync", "user", "show", "--json", "user222"); !strings.Contains(shown, `"realm": "local"`) {
		s.t.Errorf("user show --json prints %s", shown)
	}
	text := "in /etc/shadow and in the directory (" + service + "): user222; the directory's password opens the local account, too"
	if said := s.Run("shadowsync", "doctor").Stdout; !strings.Contains(unbroken(said), text) {
		s.t.Errorf("doctor says\n%s", said)
	}
	if said := unbroken(s.Must("shadowsync", "setup")); !strings.Contains(said, "user222 is in /etc/shadow and in the directory ("+service+")") {
		s.t.Errorf("setup says\n%s", said)
	}
	s.passwd("user222", oldPassword) // on a slow machine it is queued
	s.eventually("the store has it", machine.Patience, func() bool { return s.StoreHash("user222") == s.ShadowHash("user222") })
	if !s.Login("user222", annaOld) {
		s.t.Error("the directory's password does not open the local account: doctor warns of nothing")
	}
	if r := s.Run("shadowsync", "user", "reset", "2fa", "ldap", "user222"); r.Code != 5 {
		s.t.Errorf("reset 2fa ldap of a local account: %s", r)
	}
}

// directoryPassword: enrol 2fa and set password in pcli. The directory has the new password, nothing of ours
// is touched, and the sessions end.
func (s *stage) directoryPassword() *authenticator {
	s.t.Helper()
	before := s.Must("sh", "-c", "sha256sum /etc/shadow /etc/passwd /var/lib/128technology/user-running.json")
	d := s.SSH("anna", annaOld)
	d.Answer("anna@node1.conductor> ", "enrol 2fa")
	anna := s.enrolsInShell(d, annaOld, "")
	if shown := s.Must("shadowsync", "user", "show", "--json", "anna"); !strings.Contains(shown, `"second_factor": "enrolled"`) {
		s.t.Errorf("user show --json prints %s", shown)
	}
	other := s.SSH("anna", annaOld)
	other.Answer(askForCode, anna.next())
	other.Expect("anna@node1.conductor> ", machine.Patience)
	d.Send("set password\n")
	d.Answer("Enter your current password:", annaOld)
	d.Answer(askForCode, anna.next())
	d.Answer("Enter a new password:", "short")
	d.Answer("Confirm:", "short")
	d.Expect("% Error: BAD PASSWORD", machine.Patience)
	d.Answer("Enter a new password:", annaNew)
	d.Answer("Confirm:", annaNew)
	d.Expect("Password updated successfully", machine.Patience)
	d.Ended(machine.Patience)
	other.Ended(machine.Patience)
	if s.binds(annaOld) || !s.binds(annaNew) {
		s.t.Errorf("the directory does not have the new password:\n%s", s.Must("shadowsync", "audit", "--user", "anna"))
	}
	if after := s.Must("sh", "-c", "sha256sum /etc/shadow /etc/passwd /var/lib/128technology/user-running.json"); after != before {
		s.t.Errorf("before\n%safter\n%s", before, after)
	}
	return anna
}

// directoryAtPage: an account of a directory signs in at the page with the directory's password and a code, changes
// that password there, and is out after that and after signing out.
func (s *stage) directoryAtPage(anna *authenticator) {
	s.t.Helper()
	s.Must("shadowsync", "setup", "--web")
	p := s.plainPage()
	if a := p.sends("/sign-in", "username", "anna", "password", annaOld); a.status != http.StatusForbidden || p.cookie != "" {
		s.t.Fatalf("with the former password: status %d\n%s", a.status, a.body)
	}
	p.enters("anna", annaNew, anna.next())
	if a := p.gets("/profile"); a.status != http.StatusOK || !strings.Contains(a.body, `anna <span class="tag">ldap</span>`) {
		s.t.Fatalf("the profile: status %d\n%s", a.status, a.body)
	}
	if a := p.gets("/profile/sessions"); !strings.Contains(a.body, `web <span class="tag">this one</span>`) {
		s.t.Errorf("the session at the page is not listed:\n%s", a.body)
	}
	former := p.cookie
	if p.sends("/sign-out"); p.cookie != "" {
		s.t.Error("the browser keeps the cookie after signing out")
	}
	p.cookie = former
	p.out("signing out")
	from, to := annaNew, annaOld
	for range 2 { // there and back
		p.enters("anna", from, anna.next())
		former = p.cookie
		if a := p.sends("/profile/password", "current", from, "new", to, "confirm", to); a.status >= http.StatusBadRequest {
			s.t.Fatalf("the change: status %d\n%s", a.status, a.body)
		}
		if s.binds(from) || !s.binds(to) {
			s.t.Fatalf("the directory does not have the new password:\n%s", s.Must("shadowsync", "audit", "--user", "anna"))
		}
		p.cookie = former
		p.out("a change of the password")
		from, to = to, from
	}
}

// plainPage is somebody at a page without TLS, by hand.
type plainPage struct {
	*stage
	client *http.Client
	cookie string
}

func (s *stage) plainPage() *plainPage {
	p := &plainPage{stage: s, client: &http.Client{
		Transport:     &http.Transport{DialContext: s.DialContext},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       machine.Patience,
	}}
	s.t.Cleanup(p.client.CloseIdleConnections)
	return p
}

func (p *plainPage) asks(path string, form url.Values) reply {
	p.t.Helper()
	a, err := byHand(p.t.Context(), p.client, "http://127.0.0.1:8443"+path, form, "Cookie", p.cookie)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, one := range (&http.Response{Header: a.header}).Cookies() {
		if p.cookie = ""; one.MaxAge >= 0 {
			p.cookie = one.Name + "=" + one.Value
		}
	}
	return a
}

func (p *plainPage) gets(path string) reply { p.t.Helper(); return p.asks(path, nil) }

// sends sends a form: names and values by turns.
func (p *plainPage) sends(path string, fields ...string) reply {
	p.t.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return p.asks(path, form)
}

// enters signs somebody in who has a second factor.
func (p *plainPage) enters(account, password, code string) {
	p.t.Helper()
	p.cookie = ""
	p.sends("/sign-in", "username", account, "password", password)
	if a := p.sends("/sign-in", "code", code); a.status != http.StatusSeeOther || a.header.Get("Location") != "/profile" {
		p.t.Fatalf("signing in with a code: status %d\n%s", a.status, a.body)
	}
}

// out asserts that the cookie opens nothing any more.
func (p *plainPage) out(after string) {
	p.t.Helper()
	if a := p.gets("/profile"); a.status != http.StatusSeeOther || a.header.Get("Location") != signIn {
		p.t.Errorf("after %s somebody is still signed in: status %d", after, a.status)
	}
}

// directoryLogin: where ssh asks for a second factor, it asks an account of a directory that has one.
func (s *stage) directoryLogin() {
	_, rest, found := strings.Cut(wireFactor, "shadowsync setup\n")
	if !found {
		s.t.Fatal("the script that wires ssh is another one")
	}
	s.MustShell("set -e\nsed -i 's/^ldap = true/&\\nservices = [\"sshd\"]/' /etc/shadowsync/shadowsync.toml\nshadowsync setup\n" + rest)
	s.admits("an account of the directory", byDialogue, "bea", annaOld, "")
	bea := s.enrols("bea")
	s.admits("the directory's password and a code", byDialogue, "bea", annaOld, bea.next())
	s.keepsOut("the directory's password alone", byPassword, "bea", annaOld, "", "Permission denied")
	s.keepsOut("a wrong code", byDialogue, "bea", annaOld, "000000", "the code is not right")
	s.Must("shadowsync", "user", "reset", "2fa", "ldap", "bea")
	asked := s.keepsOut("the password after a reset", byDialogue, "bea", annaOld, "", "Permission denied")
	if !strings.Contains(asked, "Your second factor was reset") {
		s.t.Errorf("after a reset, ssh asks %q", asked)
	}
	s.MustShell("sed -i /^services/d /etc/shadowsync/shadowsync.toml && shadowsync setup")
}

// directoryReset: an administrator resets the factor of an account of the directory with a code of their own,
// not of one that the directory has in a protected group.
func (s *stage) directoryReset(anna *authenticator) *authenticator {
	s.t.Helper()
	s.passwd("admin", oldPassword)
	open := s.SSH("anna", annaNew)
	open.Answer(askForCode, anna.next())
	open.Expect("anna@node1.conductor> ", machine.Patience)
	s.enrols("eve")
	admin := s.As("admin").Terminal("pcli")
	admin.Answer("admin@node1.conductor# ", "enrol 2fa")
	own := s.enrolsInShell(admin, oldPassword, "")
	admin.Send("reset 2fa ldap force eve\n")
	admin.Answer(askForCode, own.next())
	admin.Expect("not permitted: eve is protected", machine.Patience)
	admin.Send("reset 2fa ldap force anna\n")
	admin.Answer(askForCode, own.next())
	admin.Expect("Second factor of user `anna` reset", machine.Patience)
	admin.Expect("# ", machine.Patience)
	ticket := enrolmentCode.FindStringSubmatch(admin.Transcript())
	if ticket == nil {
		s.t.Fatalf("no enrolment code:\n%s", admin.Transcript())
	}
	open.Ended(machine.Patience)
	s.resetsAtThePage(own)
	again := s.SSH("anna", annaNew)
	again.Expect("Your second factor was reset.", machine.Patience)
	return s.enrolsInShell(again, annaNew, ticket[1])
}

// resetsAtThePage: the same administrator does the same at the page. pcli then takes the code that the page has shown.
func (s *stage) resetsAtThePage(own *authenticator) {
	s.t.Helper()
	p := s.plainPage()
	p.enters("admin", oldPassword, own.next())
	if a := p.sends("/admin/directory", "username", "eve", "proof", own.next()); a.status != http.StatusForbidden || !strings.Contains(a.body, "eve is protected") {
		s.t.Errorf("a protected account: status %d\n%s", a.status, a.body)
	}
	a := p.sends("/admin/directory", "username", "bea", "proof", own.next())
	_, code, _ := strings.Cut(a.body, `<code id="enrolment-code">`)
	code, _, _ = strings.Cut(code, "<")
	if a.status != http.StatusOK || code == "" {
		s.t.Fatalf("the reset: status %d\n%s", a.status, a.body)
	}
	bea := s.SSH("bea", annaOld)
	bea.Answer("$ ", "pcli")
	bea.Expect("Your second factor was reset.", machine.Patience)
	s.enrolsInShell(bea, annaOld, code)
}

// bound is how often anna's password was proven at the directory.
func (s *stage) bound() int {
	s.t.Helper()
	return strings.Count(s.Must("journalctl", "--no-pager", "-u", "directory"), `BIND dn="uid=anna,dc=example,dc=net" mech=SIMPLE`)
}

// silentDirectory: the server takes the change, and its answer comes too late. pcli says that it is not
// known, and the audit what was found once the directory answers.
func (s *stage) silentDirectory(anna *authenticator) {
	d := s.SSH("anna", annaNew)
	d.Answer(askForCode, anna.next())
	before := s.bound()
	d.Answer("anna@node1.conductor> ", "set password")
	d.Answer("Enter your current password:", annaNew)
	d.Answer(askForCode, anna.next())
	d.Answer("Enter a new password:", annaOld)
	eventually.Holds(s.t, "the change has begun", func() bool { return s.bound() >= before+2 })
	s.Must("systemctl", "kill", "-s", "SIGSTOP", "directory.service")
	d.Answer("Confirm:", annaOld)
	d.Expect("% Error: it is not known whether the directory has the new password", machine.Patience)
	s.Must("systemctl", "kill", "-s", "SIGCONT", "directory.service")
	d.Expect("anna@node1.conductor> ", machine.Patience)
	eventually.Holds(s.t, "the audit says what was found", func() bool {
		return strings.Contains(s.Must("shadowsync", "audit", "--user", "anna"), "found: the directory")
	})
	audit := s.Must("shadowsync", "audit", "--user", "anna")
	took, kept := strings.Contains(audit, "found: the directory has taken the new password"), strings.Contains(audit, "found: the directory still has the old password")
	if took != s.binds(annaOld) || kept != s.binds(annaNew) || took == kept {
		s.t.Errorf("the directory has the new one: %v; the audit says\n%s", s.binds(annaOld), audit)
	}
	if took {
		d.Ended(machine.Patience)
	}
}

// noDirectory: a server that is down changes nothing, and keeps nobody waiting for long.
func (s *stage) noDirectory(anna *authenticator) {
	password := annaOld
	if s.binds(annaNew) {
		password = annaNew
	}
	d := s.SSH("anna", password)
	d.Answer(askForCode, anna.next())
	d.Expect("anna@node1.conductor> ", machine.Patience)
	s.Must("systemctl", "stop", "directory.service")
	d.Send("set password\n")
	d.Answer("Enter your current password:", password)
	eventually.Holds(s.t, "the answer", func() bool {
		return strings.Contains(d.Transcript(), "% Error: ") || strings.Count(d.Transcript(), askForCode) > 1
	})
	if !strings.Contains(d.Transcript(), "% Error: ") { // the first proof may come from a cache
		d.Answer(askForCode, anna.next())
		d.Expect("Enter a new password:", machine.Patience)
		d.Send("A new one-" + password + "\n")
		d.Answer("Confirm:", "A new one-"+password)
		d.Expect("% Error: ", machine.Patience)
	}
	if strings.Contains(d.Transcript(), "Password updated successfully") {
		s.t.Errorf("a change without a server:\n%s", d.Transcript())
	}
	if r := s.As("user222").Run("pcli", "-c", "show user"); r.Code != 0 {
		s.t.Errorf("a local account meanwhile: %s", r)
	}
}
