package pamstack

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// debian is common-password as pam-auth-update of Debian 12 writes it with shadowsync's profile
// enabled.
const debian = `# a comment
password	requisite			pam_pwquality.so retry=3
password	[success=1 default=ignore]	pam_unix.so obscure use_authtok try_first_pass yescrypt
# here's the fallback if no module succeeds
password	requisite			pam_deny.so
password	required			pam_permit.so
password	optional			pam_shadowsync.so
`

func TestAnnounce(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, stack string
		want        error
	}{
		{"Debian's", debian, nil},
		{"with a directory before it", `
password [success=2 default=ignore] pam_unix.so
password [success=1 default=ignore] pam_sss.so use_authtok
password requisite pam_deny.so
password required pam_permit.so
password optional pam_shadowsync.so`, nil},
		{"with a directory after it", `
password [success=3 default=ignore] pam_unix.so
password [success=1 default=ignore] pam_localuser.so
password [success=1 default=ignore] pam_sss.so use_authtok
password requisite pam_deny.so
password required pam_permit.so
password optional pam_shadowsync.so`, nil},
		{"a control spelled out", strings.Replace(debian, "optional\t\t\tpam_shadow", "[default=ignore] pam_shadow", 1), nil},
		{"absent", strings.Replace(debian, "password	optional", "#", 1), ErrAbsent},
		{"another type", strings.Replace(debian, "password	optional", "session optional", 1), ErrAbsent},
		{"before the storing module", "password optional pam_shadowsync.so\n" + debian, ErrBefore},
		{"a sufficient storing module", "password sufficient pam_unix.so\npassword required pam_deny.so\npassword optional pam_shadowsync.so\n", ErrUnreached},
		{"jumped over", strings.Replace(debian, "success=1", "success=3", 1), ErrUnreached},
		{"a required storing module", "password required pam_unix.so\npassword optional pam_shadowsync.so\n", ErrAfterFailure},
		{"a requisite storing module", "password requisite pam_unix.so\npassword optional pam_shadowsync.so\n", nil},
		{"no pam_deny", strings.Replace(debian, "requisite			pam_deny", "optional pam_permit", 1), ErrAfterFailure},
		{"a deny that goes on", strings.Replace(debian, "requisite			pam_deny", "required pam_deny", 1), ErrAfterFailure},
		{"required", strings.Replace(debian, "optional", "required", 1), ErrControl},
		{"requisite", strings.Replace(debian, "optional", "requisite", 1), ErrControl},
		{"ignoring all but a missing module", strings.Replace(debian, "optional", "[ignore=ignore default=die]", 1), ErrControl},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			root := tree(t, map[string]string{"passwd": c.stack})
			lines, err := Read(root, "passwd", Password)
			if err != nil {
				t.Fatal(err)
			}
			if !Stores(lines) {
				t.Error("the stack is not found to store passwords")
			}
			if got := Announce.Check(lines); !errors.Is(got, c.want) {
				t.Errorf("Check = %v, want %v", got, c.want)
			}
		})
	}
}

// judging is debian with shadowsync's judging line added.
var judging = strings.Replace(debian, "password	[success=1", "password	[authtok_err=die default=ignore]	pam_shadowsync.so judge\npassword	[success=1", 1)

func TestJudge(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stack string
		want  error
	}{
		"Debian's":         {judging, nil},
		"first of all":     {strings.Replace(judging, "password	requisite			pam_pwquality.so retry=3\n", "", 1), nil},
		"absent":           {debian, ErrAbsent},
		"too late":         {debian + "password [authtok_err=die default=ignore] pam_shadowsync.so judge\n", ErrLate},
		"jumped over":      {strings.Replace(judging, "requisite			pam_pwq", "[success=1 default=die] pam_pwq", 1), ErrLate},
		"optional":         {strings.Replace(judging, "[authtok_err=die default=ignore]", "optional", 1), ErrPowerless},
		"refused, stored":  {strings.Replace(judging, "[authtok_err=die default=ignore]", "[authtok_err=bad default=ignore]", 1), ErrPowerless},
		"without a module": {strings.Replace(judging, "[authtok_err=die default=ignore]", "requisite", 1), ErrPowerless},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lines, err := Read(tree(t, map[string]string{"passwd": c.stack}), "passwd", Password)
			if err != nil {
				t.Fatal(err)
			}
			if got := Judge.Check(lines); !errors.Is(got, c.want) {
				t.Errorf("Check = %v, want %v", got, c.want)
			}
			if got := Announce.Check(lines); got != nil {
				t.Errorf("the announcing line is mistaken for it: %v", got)
			}
		})
	}
}

func TestLogin(t *testing.T) {
	t.Parallel()
	// su of Debian 12, and the example of faillock(8) with shadowsync's line after it.
	const debian = "auth [success=1 default=ignore] pam_unix.so nullok\nauth requisite pam_deny.so\nauth required pam_permit.so\nauth optional pam_shadowsync.so\n"
	const faillock = "auth required pam_faillock.so preauth\nauth [success=1 default=ignore] pam_unix.so\nauth [default=die] pam_faillock.so authfail\nauth required pam_permit.so\nauth optional pam_shadowsync.so\n"
	for name, c := range map[string]struct {
		stack string
		want  error
	}{
		"Debian's":              {"auth sufficient pam_rootok.so\n@include common\n", nil},
		"faillock's":            {faillock, nil},
		"a directory before it": {"auth [success=done user_unknown=ignore default=die] pam_sss.so try_cert_auth\n" + debian, nil},
		"absent":                {strings.Replace(debian, "auth optional", "session optional", 1), ErrAbsent},
		"the password's alone":  {strings.Replace(debian, "auth optional", "password optional", 1), ErrAbsent},
		"after a sufficient":    {strings.Replace(debian, "[success=1 default=ignore]", "sufficient", 1), ErrUnheard},
		"before the check":      {"auth optional pam_shadowsync.so\n" + strings.Replace(debian, "auth optional", "#", 1), ErrUnheard},
		"after a refusal":       {strings.Replace(debian, "requisite pam_deny", "required pam_deny", 1), ErrAfterDenial},
		"deciding":              {strings.Replace(debian, "optional", "required", 1), ErrLoginRules},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lines, err := Read(tree(t, map[string]string{"su": c.stack, "common": debian}), "su", Auth)
			if err != nil {
				t.Fatal(err)
			}
			if got := Login.Check(lines); !errors.Is(got, c.want) {
				t.Errorf("Check = %v, want %v", got, c.want)
			}
		})
	}
}

// TestAfter: what libpam reads in a control.
func TestAfter(t *testing.T) {
	t.Parallel()
	for control, want := range map[string]action{
		"requisite":                                     ok,
		"[success=1 default=ignore]":                    1,
		"[success = 2 default = ignore]":                2,
		"[default=die success=done]":                    done,
		"[success=ok success=bad]":                      bad,
		"[default=ignore default=die]":                  ignore,
		"[ignore=ignore]":                               bad,
		"[success]":                                     bad,
		"[default=ignore success =\t3 user_unknown=ok]": 3,
	} {
		if got := after(control, "success"); got != want {
			t.Errorf("%s: %d, want %d", control, got, want)
		}
	}
}

// TestEmptySubstack: a substack without lines of its kind has no result, as Fedora's postlogin has none
// for passwords.
func TestEmptySubstack(t *testing.T) {
	t.Parallel()
	root := tree(t, map[string]string{
		"postlogin": "session optional pam_lastlog.so\n",
		"passwd":    "password substack postlogin\npassword sufficient pam_unix.so\npassword optional pam_shadowsync.so\n",
	})
	lines, err := Read(root, "passwd", Password)
	if err != nil {
		t.Fatal(err)
	}
	if got := Announce.Check(lines); !errors.Is(got, ErrUnreached) {
		t.Errorf("Check = %v, want %v", got, ErrUnreached)
	}
}

func TestReadFollowsIncludes(t *testing.T) {
	t.Parallel()
	root := tree(t, map[string]string{
		"common-password": debian,
		"passwd":          "auth required pam_permit.so\n@include common-password\n",
		"included":        "password include common-password\n",
		"sub":             "password substack common-password\n",
		"joined":          "-password required \\\n /lib/security/pam_unix.so  a [b c]\n",
		"loop":            "@include loop\n",
		"dangling":        "@include nowhere\n",
		"passwd.dpkg-old": debian,
	})
	for _, service := range []string{"passwd", "included", "sub"} {
		lines, err := Read(root, service, Password)
		if err != nil || Announce.Check(lines) != nil || !Stores(lines) {
			t.Errorf("%s: %v; %v", service, err, Announce.Check(lines))
		}
		if ours, ok := Announce.Find(lines); !ok || ours.Place() != "/etc/pam.d/common-password line 7" {
			t.Errorf("%s: our line is at %s", service, ours.Place())
		}
	}
	lines, err := Read(root, "joined", Password)
	if err != nil || len(lines) != 1 || lines[0].String() != "password required pam_unix.so a [b c]" || lines[0].Number != 1 {
		t.Errorf("joined line: %v, %v", lines, err)
	}
	for _, service := range []string{"loop", "dangling", "absent"} {
		if _, err := Read(root, service, Password); err == nil {
			t.Errorf("%s was read", service)
		}
	}
	services, err := Services(root)
	if err != nil || strings.Join(services, " ") != "common-password dangling included joined loop passwd sub" {
		t.Errorf("services: %q, %v", services, err)
	}
}

// TestSplit: libpam's rules for continued lines and comments (_pam_assemble_line).
func TestSplit(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a b":                   "[[a b]]",
		"a \\\nb":               "[[a b] []]",
		"a\\\nb":                "[[a b] []]",
		"a \\ \t\nb":            "[[a b] []]",
		"# a \\\nb":             "[[] [b]]",
		"a # b \\\nc":           "[[a] [c]]",
		"a \\\n# b\n\nc # d\ne": "[[a c] [] [] [] [e]]",
		"[a b]  c [d e":         "[[[a b] c [d e]]",
		`[a\] b]c [d`:           `[[[a\] b] c [d]]`,
		"a \\":                  "[[]]", // libpam refuses the whole file
	} {
		if got := fmt.Sprint(split(text)); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// TestPasswd: the service of passwd decides, whichever files it includes; without it, or if it is
// incomplete, the distribution's common file.
func TestPasswd(t *testing.T) {
	t.Parallel()
	const common = "password required pam_unix.so sha512\n"
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"nothing there": {nil, ""},
		"Debian":        {map[string]string{"passwd": "@include common-password\n", "common-password": common}, "sha512"},
		"Fedora":        {map[string]string{"passwd": "password substack system-auth\n", "system-auth": common}, "sha512"},
		"its own line":  {map[string]string{"passwd": "password required /lib/pam_unix.so sha256\n", "common-password": common}, "sha256"},
		"without it":    {map[string]string{"system-auth": common}, "sha512"},
		"incomplete":    {map[string]string{"passwd": "@include nowhere\n", "password-auth": common}, "sha512"},
	} {
		lines, err := Passwd(tree(t, c.files))
		line, _ := Storing(lines)
		if got := strings.Join(line.Args, " "); err != nil || got != c.want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if _, err := Passwd(tree(t, map[string]string{"passwd": strings.Repeat("#\n", maxFile)})); err == nil {
		t.Error("a file without bounds was read")
	}
}

func tree(t *testing.T, services map[string]string) string {
	t.Helper()
	root := t.TempDir()
	folder := filepath.Join(root, "etc/pam.d")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range services {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// TestBrokenLines: as in libpam, a line that cannot be read counts, and fails. One of an unknown kind is of
// the stack that is read: auth, unless another file includes the lines of one kind.
func TestBrokenLines(t *testing.T) {
	t.Parallel()
	root := tree(t, map[string]string{
		"top":      "athu required pam_x.so\nauth\n-auth required pam_x.so\naccount include\nsession required pam_x.so\nauth optional\n",
		"included": "account include top\n",
	})
	for _, c := range []struct {
		service string
		kind    Kind
		want    string
	}{
		{"top", Auth, "1 broken, 2 broken, 3, 6 broken"},
		{"top", Account, "4 broken"},
		{"top", Password, ""},
		{"included", Account, "1 broken, 4 broken"},
	} {
		lines, err := Read(root, c.service, c.kind)
		var found []string
		for _, l := range lines {
			text := strconv.Itoa(l.Number)
			if l.Broken {
				text += " broken"
			}
			found = append(found, text)
		}
		if got := strings.Join(found, ", "); err != nil || got != c.want {
			t.Errorf("%s, %s: %q, want %q; %v", c.service, c.kind, got, c.want, err)
		}
	}
}

// TestWordsHaveTheirPlace: the module reads its first two words, and no other.
func TestWordsHaveTheirPlace(t *testing.T) {
	t.Parallel()
	for words, want := range map[string]Duty{
		"factor": Factor, "factor key": FactorKey, "factor debug key": Factor, "debug factor": Login, "key factor": Login, "": Login,
	} {
		l := Line{Kind: Auth, Module: Module, Args: strings.Fields(words)}
		for _, d := range []Duty{Factor, FactorKey, Login} {
			if d.has(l) != (d == want) {
				t.Errorf("%q: %s: %v", words, d.Name, d.has(l))
			}
		}
	}
}
