package pamstack

import (
	"strings"
	"testing"
)

// The files of Debian 12, shortened.
const (
	debianSSHD = `# PAM configuration for the Secure Shell service

# Standard Un*x authentication.
@include common-auth

# Disallow non-root logins when /etc/nologin exists.
account    required     pam_nologin.so

# Standard Un*x authorization.
@include common-account
session    required     pam_loginuid.so
@include common-session
@include common-password
`
	debianLogin = `auth       optional   pam_faildelay.so  delay=3000000
auth       requisite  pam_nologin.so
@include common-auth
auth       optional   pam_group.so
@include common-account
@include common-session
@include common-password
`
	debianCockpit = `auth       required     pam_sepermit.so
auth       substack     common-auth
auth       optional     pam_ssh_add.so
account    required     pam_nologin.so
account    include      common-account
password   include      common-password
session    include      common-session
`
)

func TestAsk(t *testing.T) {
	t.Parallel()
	for service, c := range map[string]struct{ before, auth, account string }{
		"sshd":  {debianSSHD, "auth [success=1 default=ignore] pam_shadowsync.so factor key\nauth substack common-auth\nauth required pam_shadowsync.so factor\n", ""},
		"login": {debianLogin, "auth [success=1 default=ignore] pam_shadowsync.so factor key\nauth substack common-auth\nauth [success=1 default=ignore] pam_succeed_if.so quiet uid = 0\nauth required pam_shadowsync.so factor\n", "account [success=1 default=ignore] pam_succeed_if.so quiet uid = 0\n"},
	} {
		want := strings.Replace(c.before, "@include common-auth\n", c.auth, 1)
		want = strings.Replace(want, "@include common-account\n", c.account+"account required pam_shadowsync.so factor\n@include common-account\n", 1)
		got, replaced, err := Ask(service, c.before)
		if err != nil || got != want || replaced != IncludeAuth {
			t.Errorf("%s: %v, replaced %q:\n%s", service, err, replaced, got)
		}
		noGap(t, service, c.before, got)
	}
	for name, text := range map[string]string{
		"no include": "auth required pam_unix.so\n@include common-account\n", "no account": "@include common-auth\n",
		"twice":     "@include common-auth\n@include common-auth\n@include common-account\n",
		"both ways": "@include common-auth\nauth substack common-auth\n@include common-account\n", "included otherwise": "auth include common-auth\n@include common-account\n",
		"a comment": "#@include common-auth\n@include common-account\n",
	} {
		if got, _, err := Ask("sshd", text); err == nil {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// noGap asserts that what Ask made of a service's file is recognised, and leads nobody past our lines.
func noGap(t *testing.T, service, before, asking string) {
	t.Helper()
	if !Asks(asking) || Asks(before) {
		t.Errorf("%s: our lines are not told apart", service)
	}
	root := tree(t, map[string]string{service: asking, "common-auth": debianAuth, "common-account": debianAccount, "common-session": "", "common-password": ""})
	if found := places(t, root, service); found != "" {
		t.Errorf("%s: ways past our lines: %s", service, found)
	}
}

// TestAskBesideASubstack: a substack that a service has already stays as it is, also when our lines are taken out without
// the record of what they replaced.
func TestAskBesideASubstack(t *testing.T) {
	t.Parallel()
	const sub = "auth       substack     common-auth\n"
	want := strings.Replace(debianCockpit, sub, keyLine+"\n"+sub+askLine+"\n", 1)
	want = strings.Replace(want, "account    include", accountLine+"\naccount    include", 1)
	got, replaced, err := Ask("cockpit", debianCockpit)
	if err != nil || got != want || replaced != sub {
		t.Errorf("%v, replaced %q:\n%s", err, replaced, got)
	}
	noGap(t, "cockpit", debianCockpit, got)
	for _, replaced := range []string{sub, IncludeAuth} {
		if plain := Unask(got, replaced); plain != debianCockpit {
			t.Errorf("without our lines, which replaced %q, it is\n%s", replaced, plain)
		}
		if plain := Unask(debianCockpit, replaced); plain != debianCockpit {
			t.Errorf("without lines of ours it is\n%s", plain)
		}
	}
}

// TestUnask: whatever happened to the file meanwhile, our lines and only they are gone, and the line that they
// replaced is where it was.
func TestUnask(t *testing.T) {
	t.Parallel()
	const odd = "account include x\n@include\tcommon-account # y\n@include  common-auth # first"
	for _, before := range []string{debianSSHD, debianLogin, debianCockpit, odd, odd + "\n", "@include common-account\n\n" + IncludeAuth} {
		for _, service := range []string{"sshd", "login"} {
			asking, replaced, err := Ask(service, before)
			if err != nil {
				t.Fatal(err)
			}
			if got := Unask(asking, replaced); got != before {
				t.Errorf("%s of\n%s\nis\n%s", service, before, got)
			}
		}
	}
	asking, _, _ := Ask("login", debianLogin)
	for name, c := range map[string]struct {
		edit func(string) string
		want string // empty: debianLogin
	}{
		"a line of somebody's": {func(s string) string { return "# mine\n" + s + "# mine\n" }, "# mine\n" + debianLogin + "# mine\n"},
		"our control edited": {func(s string) string {
			return strings.ReplaceAll(s, "required pam_shadowsync", "optional pam_shadowsync")
		}, ""},
		"our line moved to the end": {func(s string) string {
			return strings.Replace(s, askLine+"\n", "", 1) + askLine + "\n"
		}, ""},
		"key line deleted":          {func(s string) string { return strings.Replace(s, keyLine+"\n", "", 1) }, ""},
		"substack deleted":          {func(s string) string { return strings.Replace(s, subLine+"\n", "", 1) }, ""},
		"included again already":    {func(s string) string { return strings.Replace(s, subLine+"\n", IncludeAuth, 1) }, ""},
		"all but the substack":      {func(string) string { return strings.Replace(debianLogin, IncludeAuth, subLine+"\n", 1) }, ""},
		"a root line of somebody's": {func(s string) string { return s + "auth" + rootJump + "\n" }, debianLogin + "auth" + rootJump + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := c.want
			if want == "" {
				want = debianLogin
			}
			edited := c.edit(asking)
			if got := Unask(edited, IncludeAuth); edited == asking || got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}
