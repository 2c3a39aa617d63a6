package pamstack

import (
	"strings"
	"testing"
)

// The stacks as pam-auth-update of Debian 12 writes them.
const (
	debianAuth = `auth	[success=1 default=ignore]	pam_unix.so nullok
auth	requisite			pam_deny.so
auth	required			pam_permit.so
auth	optional			pam_shadowsync.so
`
	debianAccount = `account	[success=1 new_authtok_reqd=done default=ignore]	pam_unix.so
account	requisite			pam_deny.so
account	required			pam_permit.so
`
	// libpam-sss
	sssAuth = `auth	[success=2 default=ignore]	pam_unix.so nullok
auth	[success=1 default=ignore]	pam_sss.so use_first_pass
auth	requisite			pam_deny.so
auth	required			pam_permit.so
auth	optional			pam_shadowsync.so
`
	sssAccount = debianAccount + `account	sufficient			pam_localuser.so
account	[default=bad success=ok user_unknown=ignore]	pam_sss.so
`
	// libpam-ldapd, whose module is nslcd's
	ldapdAuth = `auth	[success=2 default=ignore]	pam_unix.so nullok
auth	[success=1 default=ignore]	pam_ldap.so minimum_uid=1000 use_first_pass
auth	requisite			pam_deny.so
auth	required			pam_permit.so
auth	optional			pam_shadowsync.so
`
	ldapdAccount = debianAccount + "account	[success=ok new_authtok_reqd=done ignore=ignore user_unknown=ignore authinfo_unavail=ignore default=bad]	pam_ldap.so minimum_uid=1000\n"
	// the example of pam_faillock(8)
	faillockAuth = `auth     required       pam_faillock.so preauth
auth     [success=1 default=bad] pam_unix.so
auth     [default=die]  pam_faillock.so authfail
auth     sufficient     pam_faillock.so authsucc
auth     required       pam_deny.so
`
)

// asking is a service with our lines around the file common-auth and before common-account.
const asking = `auth requisite pam_nologin.so
auth [success=1 default=ignore] pam_shadowsync.so factor key
auth substack common-auth
auth [success=1 default=ignore] pam_succeed_if.so quiet uid = 0
auth required pam_shadowsync.so factor
auth optional pam_group.so
account required pam_nologin.so
account required pam_shadowsync.so factor
@include common-account
session optional pam_lastlog.so
`

// TestGaps: each way past our lines is found, with the line that opens it; "" for none.
func TestGaps(t *testing.T) {
	t.Parallel()
	auth := func(from, to string) string { return strings.Replace(asking, from, to, 1) }
	sshd := auth("auth [success=1 default=ignore] pam_succeed_if.so quiet uid = 0\n", "")
	for name, c := range map[string]struct {
		stack, commonAuth, commonAccount string
		service                          string // login if empty
		want                             string // lines of the service, or of the file that is named
	}{
		"Debian's":                     {stack: asking},
		"sshd, Debian's":               {stack: sshd, service: "sshd"},
		"libpam-sss":                   {stack: asking, commonAuth: sssAuth, commonAccount: sssAccount},
		"libpam-ldapd":                 {stack: asking, commonAuth: ldapdAuth, commonAccount: ldapdAccount},
		"pam_faillock's recipe":        {stack: asking, commonAuth: faillockAuth},
		"a sufficient line in common":  {stack: asking, commonAuth: "auth sufficient pam_unix.so\n" + debianAuth},
		"no password at all in common": {stack: asking, commonAuth: "auth required pam_permit.so\n"},

		"included again":                 {stack: auth("auth substack", "@include common-auth\nauth substack")},
		"included, faillock's recipe":    {stack: auth("auth substack", "auth include"), commonAuth: faillockAuth, want: "common-auth 4"},
		"a sufficient line before":       {stack: auth("auth substack", "auth sufficient pam_unix.so\nauth substack"), want: "3"},
		"pam_rootok, as in su":           {stack: "auth sufficient pam_rootok.so\n" + asking, want: "1"},
		"done":                           {stack: auth("requisite pam_nologin.so", "[success=done default=ignore] pam_ssh_agent_auth.so"), want: "1"},
		"done by default":                {stack: auth("requisite pam_nologin.so", "[default=done] pam_env.so"), want: "1"},
		"the key line jumps too far":     {stack: auth("success=1", "success=3"), want: "2"},
		"a jump to the end":              {stack: auth("requisite pam_nologin.so", "[success=5 default=ignore] pam_listfile.so") + "auth required pam_permit.so\n", want: "1"},
		"a jump beyond the end":          {stack: auth("requisite pam_nologin.so", "[success=9 default=ignore] pam_listfile.so") + "auth required pam_permit.so\n"},
		"root of ssh":                    {stack: asking, service: "sshd", want: "4"},
		"everybody at the console":       {stack: auth("quiet uid = 0", "quiet uid >= 0"), want: "4"},
		"root by the process's uid":      {stack: auth("quiet uid = 0", "quiet use_uid uid = 0"), want: "4"},
		"optional":                       {stack: auth("required pam_shadowsync.so factor\nauth", "optional pam_shadowsync.so factor\nauth"), want: "5"},
		"sufficient":                     {stack: auth("required pam_shadowsync.so factor\nauth", "sufficient pam_shadowsync.so factor\nauth"), want: "5"},
		"one refusal forgiven":           {stack: auth("required pam_shadowsync.so factor\nauth", "[success=ok ignore=ignore maxtries=ignore default=bad] pam_shadowsync.so factor\nauth"), want: "5"},
		"a jump over nothing":            {stack: auth("required pam_shadowsync.so factor\nauth", "[success=ok default=0] pam_shadowsync.so factor\nauth"), want: "5"},
		"over an unknown kind":           {stack: auth("auth required pam_shadowsync.so factor\nauth optional pam_group.so\n", "auth [success=2 default=ignore] pam_x.so\nathu optional pam_y.so\nauth required pam_shadowsync.so factor\n"), want: "5"},
		"only over an unknown kind":      {stack: auth("auth required pam_shadowsync.so factor\n", "auth [success=1 default=ignore] pam_x.so\nathu optional pam_y.so\nauth required pam_shadowsync.so factor\n")},
		"over a line without a module":   {stack: auth("auth required pam_shadowsync.so factor\nauth optional pam_group.so\n", "auth [success=2 default=ignore] pam_x.so\nauth optional\nauth required pam_shadowsync.so factor\n"), want: "5"},
		"a broken line fails":            {stack: auth("auth required pam_shadowsync.so factor\n", "auth required\nauth sufficient pam_x.so\nauth required pam_shadowsync.so factor\n")},
		"requisite":                      {stack: auth("required pam_shadowsync.so factor\nauth", "requisite pam_shadowsync.so factor\nauth")},
		"reset":                          {stack: auth("auth optional pam_group.so", "auth [default=reset] pam_group.so\nauth required pam_permit.so"), want: "6"},
		"in a substack":                  {stack: auth("auth required pam_shadowsync.so factor", "auth substack ours"), want: ""},
		"in a substack that is optional": {stack: auth("auth required pam_shadowsync.so factor", "auth [success=1 default=ignore] pam_x.so\nauth substack ours"), want: "5"},

		"account: sufficient before":                           {stack: auth("account required pam_nologin.so", "account sufficient pam_localuser.so"), want: "7"},
		"account: a jump":                                      {stack: auth("account required pam_nologin.so", "account [success=1 default=ignore] pam_access.so"), want: "7"},
		"account: last, after libpam-sss":                      {stack: moved, commonAccount: sssAccount, want: "common-account 1, common-account 4, common-account 5"},
		"account: a new password due, called bad, before ours": {stack: auth("account required pam_nologin.so", "account [success=ok default=bad] pam_ldap.so"), want: "7"},
		"account: optional":                                    {stack: auth("account required pam_shadowsync.so", "account optional pam_shadowsync.so"), want: "8"},
		"account: reset":                                       {stack: asking, commonAccount: "account [default=reset] pam_time.so\n" + debianAccount, want: "common-account 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			service := c.service
			if service == "" {
				service = "login"
			}
			files := map[string]string{service: c.stack, "common-auth": debianAuth, "common-account": debianAccount, "ours": "auth required pam_shadowsync.so factor\n"}
			if c.commonAuth != "" {
				files["common-auth"] = c.commonAuth
			}
			if c.commonAccount != "" {
				files["common-account"] = c.commonAccount
			}
			if got := places(t, tree(t, files), service); got != c.want {
				t.Errorf("ways past our lines: %q, want %q", got, c.want)
			}
		})
	}
}

// moved has our account line after common-account.
var moved = strings.Replace(strings.Replace(asking, "account required pam_shadowsync.so factor\n", "", 1), "@include common-account\n", "@include common-account\naccount required pam_shadowsync.so factor\n", 1)

// places returns the lines that open ways past our lines.
func places(t *testing.T, root, service string) string {
	t.Helper()
	var found []string
	for _, d := range []Duty{Factor, FactorAccount} {
		lines, err := Read(root, service, d.Kind)
		if err != nil {
			t.Fatal(err)
		}
		if _, there := d.Find(lines); !there {
			t.Errorf("the line that %s is not found", d.Name)
		}
		for _, gap := range d.Gaps(service, lines) {
			place := strings.Replace(strings.TrimPrefix(gap.Line.Place(), "/etc/pam.d/"), " line ", " ", 1)
			found = append(found, strings.TrimPrefix(place, service+" "))
		}
	}
	return strings.Join(found, ", ")
}

// TestDutiesOfAService: our lines in a service are not taken for each other, and do not disturb the check of
// the line for logins.
func TestDutiesOfAService(t *testing.T) {
	t.Parallel()
	root := tree(t, map[string]string{"login": asking, "common-auth": debianAuth, "common-account": debianAccount})
	lines, err := Read(root, "login", Auth)
	if err != nil {
		t.Fatal(err)
	}
	for d, number := range map[Duty]int{FactorKey: 2, Factor: 5, Login: 4} {
		if l, there := d.Find(lines); !there || l.Number != number {
			t.Errorf("the line that %s: %v, want line %d", d.Name, l.Place(), number)
		}
	}
	if fault := Login.Check(lines); fault != nil {
		t.Errorf("the line for logins: %v", fault)
	}
	if gaps := Factor.Gaps("login", lines[:2]); gaps != nil {
		t.Errorf("ways past a missing line: %v", gaps)
	}
}
