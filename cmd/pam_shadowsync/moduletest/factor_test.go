package moduletest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	enrolledList = "other\tlocal\tenrol\t7001\nadmin\tlocal\tenrolled\t-\n"
	codePrompt   = "1 Verification code: "
	notRight     = "3 shadowsync: the code is not right"
	cannotTell   = "3 shadowsync: second factors cannot be checked now"
	keyAlone     = "3 shadowsync: a key alone is not enough for this account: log in with a password and a verification code"
	// What sshd answers for an account that it refuses, as long as the typed answer.
	refusedBySSHD = "\b\n\r\177INCORRECT\b\n\r\177INC"

	authErr, permDenied = 7, 6 // of Linux-PAM
)

func enroll(t *testing.T, dir, list string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "home", "enrolled"), []byte(list), 0o600); err != nil {
		t.Fatal(err)
	}
}

// login is a login in the stack that asks for second factors.
type login struct {
	list    string            // of who must show a code
	answers map[string]string // of the broker, by operation; "": it hangs
	scene
	said  []string
	asked string // the operations; with the code that came with it
}

func (l login) play(t *testing.T, b build, dir string) report {
	t.Helper()
	if l.list != "-" {
		enroll(t, dir, l.list)
	}
	var got []request
	if l.answers != nil {
		serve(t, listenAt(t, dir, "factor.sock", 5, 0), noting(t, l.answers, &got))
	}
	if l.token == "" && !slices.Contains(l.options, "key") {
		l.token = "secret"
	}
	l.options = append([]string{"ssh"}, l.options...)
	l.stack = "sshd"
	r := run(t, b, dir, l.scene)
	wantSaid(t, r, l.said...)
	var asked []string
	for _, g := range got {
		op, login, _ := strings.Cut(strings.TrimPrefix(g.text, `{"op":"factor-`), `","plain":true,`)
		user := strings.TrimSuffix(strings.TrimPrefix(login, `"user":"`), `","service":"sshd","host":"2001:db8::1","tty":"s\"s\\h","lines":true}`)
		user = strings.Replace(user, `","uid":"`, ", uid ", 1)
		if user != "admin" {
			op += " for " + user
		}
		if g.hasToken {
			op += "=" + g.token
			if g.seals&allSeals != allSeals {
				t.Errorf("the code came with seals %#x", g.seals)
			}
		}
		asked = append(asked, op)
	}
	if all := strings.Join(asked, " "); all != l.asked {
		t.Errorf("asked %q, want %q", all, l.asked)
	}
	if timeoutMarked(t, dir) {
		t.Error("a login silenced the module for others")
	}
	return r
}

func playAll(t *testing.T, logins map[string]login) {
	t.Helper()
	for name, l := range logins {
		t.Run(name, func(t *testing.T) {
			inBothBuilds(t, func(t *testing.T, b build, dir string) { l.play(t, b, dir) })
		})
	}
}

// answers are a broker's, of whom the module asks what a login needs and whether a code is right.
func answers(need, check string) map[string]string {
	return map[string]string{"factor-need": need, "factor-check": check}
}

// Whoever has no second factor notices nothing. The others show a code after their password.
func TestFactor(t *testing.T) {
	playAll(t, map[string]login{
		"nobody has one":      {answers: answers("c", "p")},
		"others have one":     {list: "admin2\tlocal\tenrolled\t7001\nadmi\tldap\tenrolled\t-\n", answers: answers("c", "p")},
		"wrong password":      {scene: scene{wrong: 1, fails: authErr}, answers: answers("c", "p")},
		"right":               {list: enrolledList, answers: answers("c", "p"), scene: scene{answer: "123456"}, said: []string{codePrompt}, asked: "need check=123456"},
		"right, and a text":   {list: enrolledList, answers: answers("c", "p3 left"), scene: scene{answer: "123456"}, said: []string{codePrompt, "shadowsync: 3 left"}, asked: "need check=123456"},
		"right, quietly":      {list: enrolledList, answers: answers("c", "p3 left"), scene: scene{answer: "123456", options: []string{"silent"}}, said: []string{codePrompt}, asked: "need check=123456"},
		"not right":           {list: enrolledList, answers: answers("c", "rthe code is not right"), scene: scene{answer: "123456", fails: authErr}, said: []string{codePrompt, notRight}, asked: "need check=123456"},
		"no password":         {list: enrolledList, answers: answers("c", "p"), scene: scene{answer: "123456", wrong: 1, fails: authErr}},
		"no password later":   {list: enrolledList, answers: answers("c", "p"), scene: scene{answer: "123456", wrong: 2, calls: 2, fails: authErr}, said: []string{codePrompt}, asked: "need check=123456"},
		"renamed":             {list: "other\tlocal\tenrolled\t1\n", answers: answers("c", "p"), scene: scene{user: "daemon", answer: "123456"}, said: []string{codePrompt}, asked: "need for daemon, uid 1 check for daemon, uid 1=123456"},
		"renamed, no broker":  {list: "other\tlocal\tenrolled\t1\n", scene: scene{user: "daemon", fails: authErr}, said: []string{cannotTell}},
		"another uid":         {list: "other\tlocal\tenrolled\t11\n", answers: answers("c", "p"), scene: scene{user: "daemon"}},
		"the list was late":   {list: enrolledList, answers: answers("u", "p"), asked: "need need"},
		"must enrol":          {list: enrolledList, answers: answers("rthe code is not right", "p"), scene: scene{fails: authErr}, said: []string{notRight}, asked: "need"},
		"the password":        {list: enrolledList, answers: answers("c", "p"), scene: scene{token: "abc", answer: "abc", fails: authErr}, said: []string{codePrompt}, asked: "need"},
		"sshd refuses":        {list: enrolledList, answers: answers("c", "p"), scene: scene{answer: refusedBySSHD, fails: authErr}, said: []string{codePrompt}, asked: "need"},
		"sshd refuses, short": {list: enrolledList, answers: answers("c", "p"), scene: scene{answer: refusedBySSHD[:6], fails: authErr}, said: []string{codePrompt}, asked: "need"},
		"like that, longer":   {list: enrolledList, answers: answers("c", "p"), scene: scene{answer: refusedBySSHD + "1"}, said: []string{codePrompt}, asked: "need check=" + refusedBySSHD + "1"},
		"too long":            {list: enrolledList, answers: answers("c", "p"), scene: scene{answer: strings.Repeat("1", 513), fails: authErr}, said: []string{codePrompt}, asked: "need"},
		"nothing typed":       {list: enrolledList, answers: answers("c", "p"), scene: scene{fails: authErr}, said: []string{codePrompt}, asked: "need"},
		"nobody to be asked":  {list: enrolledList, answers: answers("c", "p"), scene: scene{options: []string{"noconv"}, fails: authErr}, asked: "need"},
		"nobody answers":      {list: enrolledList, answers: answers("c", "p"), scene: scene{options: []string{"failconv"}, fails: authErr}, said: []string{codePrompt}, asked: "need"},
		"not root's program":  {list: enrolledList, answers: answers("c", "p"), scene: scene{options: []string{"locker"}, fails: authErr}, said: []string{cannotTell}},
	})
}

// ascending is a broker that answers each check with the next of these.
func ascending(t *testing.T, dir string, got *[]request, checks ...string) {
	t.Helper()
	next := 0
	serve(t, listenAt(t, dir, "factor.sock", 5, 0), func(conn int) {
		all := answers("cCode (or 'lost'):", checks[min(next, len(checks)-1)])
		if noting(t, all, got)(conn); strings.Contains((*got)[len(*got)-1].text, "factor-check") {
			next++
		}
	})
}

// The broker leads somebody without the authenticator on, in several questions: each is asked as it comes, and nothing
// but its own last word lets the login pass.
func TestFactorConversation(t *testing.T) {
	ask := "1 Code (or 'lost'): "
	rounds := []string{ask}
	for range 7 {
		rounds = append(rounds, "1 More: ")
	}
	long := strings.Repeat("x", 600)
	for name, c := range map[string]struct {
		typed   string
		options []string
		checks  []string
		said    []string
		fails   int
		asked   int
	}{
		"the whole way": {
			typed: "lost|12345678|123456||", checks: []string{"cSent.\nCode from the mail:", "cKey: ABCD\n██▀▄\nVerification code:", "kEnrolled\n  abc\nPress Enter:"},
			said: []string{ask, "shadowsync: Sent.", "1 Code from the mail: ", "shadowsync: Key: ABCD", "██▀▄", "1 Verification code: ", "shadowsync: Enrolled", "  abc", "1 Press Enter: "}, asked: 3,
		},
		"quietly": {
			typed: "lost|123456|", options: []string{"silent"}, checks: []string{"cSent.\nCode from the mail:", "kEnrolled\nPress Enter:"},
			said: []string{ask, "1 Code from the mail: ", "1 Press Enter: "}, asked: 2,
		},
		"refused later":         {typed: "lost|1", checks: []string{"cMore:", "rno\nmore"}, said: []string{ask, "1 More: ", "3 shadowsync: no", "3 more"}, fails: authErr, asked: 2},
		"without an end":        {typed: "1", checks: []string{"cMore:"}, said: rounds, fails: authErr, asked: 8},
		"nothing typed later":   {typed: "1||", checks: []string{"cMore:"}, said: []string{ask, "1 More: "}, fails: authErr, asked: 1},
		"the password later":    {typed: "1|secret", checks: []string{"cMore:"}, said: []string{ask, "1 More: "}, fails: authErr, asked: 1},
		"not printable":         {typed: "1", checks: []string{"ca\x1b[2J\r\xff\n\x00b:", "p"}, said: []string{ask, "shadowsync: a?[2J??", "1 ?b: "}, asked: 2},
		"long lines":            {typed: "1", checks: []string{"c" + long + "\n" + long, "p"}, said: []string{ask, "shadowsync: " + long[:512], "1 " + long[:512] + " "}, asked: 2},
		"too many lines":        {typed: "1", checks: []string{"c" + strings.Repeat("\n", 64)}, said: []string{ask, cannotTell}, fails: authErr, asked: 1},
		"as many as there may":  {typed: "1", checks: []string{"c" + strings.Repeat("\n", 63), "p"}, said: []string{ask, "1 Verification code: "}, asked: 2, options: []string{"silent"}},
		"too long":              {typed: "1", checks: []string{"c" + strings.Repeat("x\n", 5000)}, said: []string{ask, cannotTell}, fails: authErr, asked: 1},
		"needs nothing then":    {typed: "1", checks: []string{"cMore:", "u"}, said: []string{ask, "1 More: "}, fails: authErr, asked: 2},
		"keeps nothing":         {typed: "1", checks: []string{"k"}, said: []string{ask, cannotTell}, fails: authErr, asked: 1},
		"hangs in the middle":   {typed: "1", checks: []string{"cMore:", ""}, said: []string{ask, "1 More: ", cannotTell}, fails: authErr, asked: 2},
		"passes after mistakes": {typed: "1|2|3", checks: []string{"cMore:", "cMore:", "p"}, said: []string{ask, "1 More: ", "1 More: "}, asked: 3},
	} {
		t.Run(name, func(t *testing.T) {
			inBothBuilds(t, func(t *testing.T, b build, dir string) {
				enroll(t, dir, enrolledList)
				var got []request
				ascending(t, dir, &got, c.checks...)
				r := run(t, b, dir, scene{stack: "sshd", token: "secret", answer: c.typed, fails: c.fails, options: append([]string{"ssh"}, c.options...)})
				wantSaid(t, r, c.said...)
				typed := strings.Split(c.typed, "|")
				for i, g := range got[1:] {
					if want := typed[min(i, len(typed)-1)]; g.token != want {
						t.Errorf("the broker was told %q, want %q", g.token, want)
					}
				}
				if len(got) != c.asked+1 {
					t.Errorf("the broker was asked %d times about a code, want %d", len(got)-1, c.asked)
				}
			})
		})
	}
}

// A host that may write into the journal what it is shown gets texts with secrets as a part of the question.
func TestFactorInTheQuestion(t *testing.T) {
	for name, c := range map[string]struct {
		typed   string
		options []string
		checks  []string
		said    []string
		fails   int
	}{
		"the whole way": {
			typed: "lost|123456|", checks: []string{"cKey: ABCD\n\nAdd it.\nVerification code:", "kEnrolled\n  abc\nPress Enter:"},
			said: []string{"1 shadowsync: Key: ABCD", "1 ", "1 Add it.", "1 Verification code: ", "1 shadowsync: Enrolled", "1   abc", "1 Press Enter: "},
		},
		"quietly":        {typed: "lost|", options: []string{"silent"}, checks: []string{"kEnrolled\nPress Enter:"}, said: []string{"1 Press Enter: "}},
		"refused":        {typed: "1", checks: []string{"rno"}, said: []string{"3 shadowsync: no"}, fails: authErr},
		"not printable":  {typed: "1", checks: []string{"ca\x1b[2J\r\xff\n\x00b:", "p"}, said: []string{"1 shadowsync: a?[2J??", "1 ?b: "}},
		"as much as may": {typed: "1", checks: []string{"c" + strings.Repeat("x", 500) + strings.Repeat("\n"+strings.Repeat("\xff", 120), 63), "p"}, said: slices.Concat([]string{"1 shadowsync: " + strings.Repeat("x", 500)}, slices.Repeat([]string{"1 " + strings.Repeat("?", 120)}, 62), []string{"1 " + strings.Repeat("?", 120) + " "})},
	} {
		t.Run(name, func(t *testing.T) {
			inBothBuilds(t, func(t *testing.T, b build, dir string) {
				enroll(t, dir, enrolledList)
				var got []request
				ascending(t, dir, &got, c.checks...)
				r := run(t, b, dir, scene{stack: "keeper", token: "secret", answer: c.typed, fails: c.fails, options: append([]string{"ssh"}, c.options...)})
				wantSaid(t, r, append([]string{"1 Code (or 'lost'): "}, c.said...)...)
				for _, g := range got {
					if strings.Contains(g.text, "lines") {
						t.Errorf("the broker is told that the host shows lines: %s", g.text)
					}
				}
				if len(got) != len(c.checks)+1 {
					t.Errorf("the broker was asked %d times", len(got))
				}
			})
		})
	}
}

// Where second factors are required, the broker is asked about everybody, and may let them go on. While it is
// away, they get in as ever.
func TestFactorRequired(t *testing.T) {
	const offer = "oFrom tomorrow on.\nType 'enrol':"
	offered := []string{"shadowsync: From tomorrow on.", "1 Type 'enrol': "}
	for name, l := range map[string]login{
		"goes on":             {answers: answers(offer, "p"), said: offered, asked: "need"},
		"by the password":     {answers: answers(offer, "p"), scene: scene{answer: "secret"}, said: offered, asked: "need"},
		"nobody to be asked":  {answers: answers(offer, "p"), scene: scene{options: []string{"noconv"}}, asked: "need"},
		"wrong password":      {answers: answers(offer, "p"), scene: scene{wrong: 1, fails: authErr}},
		"enrols":              {answers: answers(offer, "kEnrolled\nEnter:"), scene: scene{answer: "enrol"}, said: append(slices.Clone(offered), "shadowsync: Enrolled", "1 Enter: "), asked: "need check=enrol"},
		"refused":             {answers: answers(offer, "rno"), scene: scene{answer: "enrol", fails: authErr}, said: append(slices.Clone(offered), "3 shadowsync: no"), asked: "need check=enrol"},
		"offered again":       {answers: answers(offer, offer), scene: scene{answer: "enrol", fails: authErr}, said: offered, asked: "need check=enrol"},
		"hangs then":          {answers: answers(offer, ""), scene: scene{answer: "enrol", fails: authErr}, said: append(slices.Clone(offered), cannotTell), asked: "need check=enrol"},
		"alone":               {answers: answers(offer, "p"), scene: scene{options: []string{"alone"}}, said: offered[:1], asked: "need"},
		"must":                {answers: answers("cRequired.\nType 'enrol':", "p"), scene: scene{fails: authErr}, said: []string{"shadowsync: Required.", "1 Type 'enrol': "}, asked: "need"},
		"must, alone":         {answers: answers("cRequired.\nType 'enrol':", "p"), scene: scene{fails: permDenied, options: []string{"alone"}}, said: []string{"3 shadowsync: Required.", keyAlone}, asked: "need"},
		"needs none":          {answers: answers("u", "p"), asked: "need need"},
		"no broker":           {},
		"no broker, alone":    {scene: scene{options: []string{"alone"}}},
		"no broker, enrolled": {list: enrolledList, scene: scene{fails: authErr}, said: []string{cannotTell}},
	} {
		t.Run(name, func(t *testing.T) {
			inBothBuilds(t, func(t *testing.T, b build, dir string) { l.required(t, dir, "admins").play(t, b, dir) })
		})
	}
}

// required writes of whom second factors are required.
func (l login) required(t *testing.T, dir, of string) login {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "home", "required"), []byte(of+"\t2026-11-29T12:00:00Z\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return l
}

// Where they are required of everybody, everybody is asked the same question first, and a login that proved nothing is
// refused whatever the broker says.
func TestFactorRequiredOfAll(t *testing.T) {
	const first = "cCode (or 'lost'):"
	ask := "1 Code (or 'lost'): "
	all := func(need, check, stranger string) map[string]string {
		return map[string]string{"factor-need": need, "factor-check": check, "factor-stranger": stranger}
	}
	offer := "oFrom tomorrow on.\nType 'enrol':"
	for name, l := range map[string]login{
		"a code":                    {list: enrolledList, answers: all("cCode:", "p", first), scene: scene{answer: "123456"}, said: []string{ask}, asked: "stranger need check=123456"},
		"a wrong code":              {list: enrolledList, answers: all("cCode:", "rthe code is not right", first), scene: scene{answer: "123456", fails: authErr}, said: []string{ask, notRight}, asked: "stranger need check=123456"},
		"wrong password":            {list: enrolledList, answers: all("cCode:", "p", "rthe code is not right"), scene: scene{wrong: 1, fails: authErr}, asked: "stranger"},
		"and a code":                {list: enrolledList, answers: all("cCode:", "p", first), scene: scene{wrong: 1, answer: "123456", fails: authErr}, said: []string{ask}, asked: "stranger stranger=123456"},
		"and nothing":               {answers: all("u", "p", first), scene: scene{wrong: 1, fails: authErr}, said: []string{ask}, asked: "stranger"},
		"the broker says it passes": {answers: all("p", "p", "p"), scene: scene{wrong: 1, fails: authErr}, asked: "stranger"},
		"nothing is needed":         {answers: all("u", "p", first), scene: scene{answer: "1"}, said: []string{ask}, asked: "stranger need need"},
		"goes on":                   {answers: all(offer, "p", first), scene: scene{answer: "1||"}, said: []string{ask, "shadowsync: From tomorrow on.", "1 Type 'enrol': "}, asked: "stranger need"},
		"must enrol":                {answers: all("cRequired.\nType 'enrol':", "p", first), scene: scene{answer: "1|enrol"}, said: []string{ask, "shadowsync: Required.", "1 Type 'enrol': "}, asked: "stranger need check=enrol"},
		"a key":                     {list: enrolledList, answers: all("cCode:", "p", first), scene: scene{answer: "123456", options: []string{"key"}}, said: []string{"1 Code: "}, asked: "need check=123456"},
		"it hangs":                  {list: enrolledList, answers: all("cCode:", "p", ""), scene: scene{wrong: 1, answer: "1", fails: authErr}, asked: "stranger"},
		"no broker":                 {},
		"no broker, wrong":          {scene: scene{wrong: 1, fails: authErr}},
	} {
		t.Run(name, func(t *testing.T) {
			inBothBuilds(t, func(t *testing.T, b build, dir string) { l.required(t, dir, "everybody").play(t, b, dir) })
		})
	}
}

// After a reset, a key alone tells what is wrong.
func TestFactorAfterReset(t *testing.T) {
	playAll(t, map[string]login{
		"alone": {list: enrolledList, answers: answers("cReset.\nEnrolment code:", "p"), scene: scene{options: []string{"alone"}, fails: permDenied}, said: []string{"3 shadowsync: Reset.", keyAlone}, asked: "need"},
	})
}

// A key opens nothing without a code, whatever changes meanwhile, and is none of anybody else's business.
func TestFactorAfterKey(t *testing.T) {
	key, alone := []string{"key"}, []string{"alone"}
	playAll(t, map[string]login{
		"and a code":             {list: enrolledList, answers: answers("c", "p"), scene: scene{answer: "123456", options: key}, said: []string{codePrompt}, asked: "need check=123456"},
		"and a wrong code":       {list: enrolledList, answers: answers("c", "rthe code is not right"), scene: scene{answer: "123456", options: key, fails: authErr}, said: []string{codePrompt, notRight}, asked: "need check=123456"},
		"the list was late":      {list: enrolledList, answers: answers("u", "p"), scene: scene{options: key, fails: authErr}, asked: "need"},
		"another's password":     {list: "", answers: answers("c", "p"), scene: scene{token: "x", options: key}},
		"another's wrong one":    {list: "", answers: answers("c", "p"), scene: scene{wrong: 1, options: key, fails: authErr}},
		"alone":                  {list: enrolledList, answers: answers("c", "p"), scene: scene{options: alone, fails: permDenied}, said: []string{keyAlone}, asked: "need"},
		"alone, quietly":         {list: enrolledList, answers: answers("c", "p"), scene: scene{options: []string{"alone", "silent"}, fails: permDenied}, asked: "need"},
		"alone, after a reset":   {list: enrolledList, answers: answers("rthe code is not right", "p"), scene: scene{options: alone, fails: permDenied}, said: []string{notRight}, asked: "need"},
		"alone, after all":       {list: enrolledList, answers: answers("u", "p"), scene: scene{options: alone}, asked: "need"},
		"alone, somebody else's": {list: "", answers: answers("c", "p"), scene: scene{options: alone}},
		"alone, and no broker":   {list: enrolledList, scene: scene{options: alone, fails: permDenied}, said: []string{cannotTell}},
	})
}

// What is no valid answer in time is a refusal.
func TestFactorOfALyingBroker(t *testing.T) {
	logins := map[string]login{}
	for name, lie := range map[string]string{
		"passes unasked": "p", "is of another socket": "s", "is a note": "n", "is JSON": `{"kind":"u"}`, "is a NUL": "\x00", "has no text": "r",
		"is long": "u" + strings.Repeat(" ", 9000), "hangs": "",
	} {
		logins["need "+name] = login{list: enrolledList, answers: answers(lie, "p"), scene: scene{fails: authErr}, said: []string{cannotTell}, asked: "need"}
	}
	for name, lie := range map[string]string{
		"is of another socket": "s", "is a note": "n", "is JSON": `{"kind":"p"}`, "has no text": "r", "is long": "p" + strings.Repeat(" ", 9000), "hangs": "",
	} {
		logins["check "+name] = login{list: enrolledList, answers: answers("c", lie), scene: scene{answer: "1", fails: authErr}, said: []string{codePrompt, cannotTell}, asked: "need check=1"}
	}
	for name, lie := range map[string]string{"needs none after all": "u"} {
		logins["check "+name] = login{list: enrolledList, answers: answers("c", lie), scene: scene{answer: "1", fails: authErr}, said: []string{codePrompt}, asked: "need check=1"}
	}
	logins["nobody listens"] = login{list: enrolledList, scene: scene{fails: authErr}, said: []string{cannotTell}}
	playAll(t, logins)
}

// A broker that closes early, floods, or is not root's: refused, and in time.
func TestFactorOfAMisbehavingBroker(t *testing.T) {
	for name, peer := range map[string]func(int){
		"closes at once":       func(int) {},
		"closes after reading": func(conn int) { receive(conn) },
		"sends megabytes": func(conn int) {
			for range 64 {
				if unix.Sendto(conn, []byte("u"+strings.Repeat("p", 64<<10)), unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT, nil) != nil {
					return
				}
			}
		},
		"is empty": func(conn int) { answering("")(conn) },
	} {
		for _, option := range []string{"timer", "slow"} {
			t.Run(name+"/"+option, func(t *testing.T) {
				inBothBuilds(t, func(t *testing.T, b build, dir string) {
					serve(t, listenAt(t, dir, "factor.sock", 5, 0), peer)
					login{list: enrolledList, scene: scene{fails: authErr, options: []string{option}}, said: []string{cannotTell}}.play(t, b, dir)
				})
			})
			t.Run(name+" in the middle/"+option, func(t *testing.T) {
				inBothBuilds(t, func(t *testing.T, b build, dir string) {
					asked := 0
					serve(t, listenAt(t, dir, "factor.sock", 5, 0), func(conn int) {
						if asked++; asked <= 2 { // what the login needs, and the first answer
							answering("cMore:")(conn)
							return
						}
						peer(conn)
					})
					said := []string{"1 More: ", "1 More: ", cannotTell}
					login{list: enrolledList, scene: scene{answer: "1", fails: authErr, options: []string{option}}, said: said}.play(t, b, dir)
				})
			})
		}
	}
	t.Run("is not root's", func(t *testing.T) {
		inBothBuilds(t, func(t *testing.T, b build, dir string) {
			serve(t, listenAt(t, dir, "factor.sock", 5, 65534), answering("u"))
			login{list: enrolledList, scene: scene{fails: authErr}, said: []string{cannotTell}}.play(t, b, dir)
		})
	})
	t.Run("has a full backlog", func(t *testing.T) {
		inBothBuilds(t, func(t *testing.T, b build, dir string) {
			listenAt(t, dir, "factor.sock", 0, 0)
			fillAt(t, dir, "factor.sock")
			r := login{list: enrolledList, scene: scene{fails: authErr, options: []string{"timer"}}, said: []string{cannotTell}}.play(t, b, dir)
			if r.slowest < 1900*time.Millisecond {
				t.Errorf("gave up after %v", r.slowest)
			}
		})
	})
}

// If the list cannot be used, the broker says who needs a code. Without both, only root gets in.
func TestFactorWithoutList(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"missing":         func(string) error { return nil },
		"writable":        func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"torn":            func(path string) error { return os.WriteFile(path, []byte("admin\tlocal\tenrolled\t-"), 0o600) },
		"not a list":      func(path string) error { return os.WriteFile(path, []byte("user222\nadmin\n"), 0o600) },
		"no name":         func(path string) error { return os.WriteFile(path, []byte("\tlocal\tenrolled\t-\n"), 0o600) },
		"no uid":          func(path string) error { return os.WriteFile(path, []byte("x\tlocal\tenrolled\n"), 0o600) },
		"a strange uid":   func(path string) error { return os.WriteFile(path, []byte("x\tlocal\tenrolled\tx\n"), 0o600) },
		"a long uid":      func(path string) error { return os.WriteFile(path, []byte("x\tlocal\tenrolled\t12345678901\n"), 0o600) },
		"a strange realm": func(path string) error { return os.WriteFile(path, []byte("x\tnis\tenrolled\t7001\n"), 0o600) },
		"too many fields": func(path string) error { return os.WriteFile(path, []byte("x\tlocal\tenrolled\t7001\t\n"), 0o600) },
		"one bad line": func(path string) error {
			return os.WriteFile(path, []byte("x\tlocal\tenrolled\t7001\n\ny\tlocal\tenrolled\t7002\n"), 0o600)
		},
		"zeros":     func(path string) error { return os.WriteFile(path, make([]byte, 4096), 0o600) },
		"too large": func(path string) error { return os.WriteFile(path, make([]byte, 9<<20), 0o600) },
		"a folder":  func(path string) error { return os.Mkdir(path, 0o700) },
		"a FIFO":    func(path string) error { return unix.Mkfifo(path, 0o600) },
		"a link":    func(path string) error { return os.Symlink("/dev/null", path) },
		"another's": func(path string) error {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				return err
			}
			return os.Chown(path, 65534, 65534)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBothBuilds(t, func(t *testing.T, b build, dir string) {
				path := filepath.Join(dir, "home", "enrolled")
				if err := spoil(path); err != nil {
					t.Fatal(err)
				}
				if name == "writable" {
					if err := os.Chmod(path, 0o620); err != nil {
						t.Fatal(err)
					}
				}
				login{list: "-", scene: scene{fails: authErr}, said: []string{cannotTell}}.play(t, b, dir)
				login{list: "-", scene: scene{fails: permDenied, options: []string{"alone"}}, said: []string{cannotTell}}.play(t, b, dir)
				login{list: "-", scene: scene{fails: authErr, wrong: 1, user: "root"}}.play(t, b, dir)
				login{list: "-", scene: scene{user: "root"}}.play(t, b, dir)
				login{list: "-", scene: scene{user: "root", options: []string{"alone"}}}.play(t, b, dir)
			})
		})
	}
	playAll(t, map[string]login{
		"nobody's":       {list: "-", answers: answers("u", "p"), asked: "need need"},
		"somebody's":     {list: "-", answers: answers("c", "p"), scene: scene{answer: "1"}, said: []string{codePrompt}, asked: "need check=1"},
		"root's":         {list: "-", answers: answers("c", "p"), scene: scene{answer: "1", user: "root"}, said: []string{codePrompt}, asked: "need for root, uid 0 check for root, uid 0=1"},
		"a stranger's":   {list: "-", answers: answers("c", "p"), scene: scene{wrong: 1, fails: authErr}},
		"after a key":    {list: "-", answers: answers("c", "p"), scene: scene{options: []string{"alone"}, fails: permDenied}, said: []string{keyAlone}, asked: "need"},
		"and it hangs":   {list: "-", answers: answers("", "p"), scene: scene{fails: authErr}, said: []string{cannotTell}, asked: "need"},
		"root, it hangs": {list: "-", answers: answers("", "p"), scene: scene{user: "root", options: []string{"alone"}}, asked: "need for root, uid 0"},
	})
}

// Where a directory does not answer whose name it is, another name of the same person may have a second factor: what the
// broker knows of this one lets nobody in.
func TestFactorUnseen(t *testing.T) {
	const renamed = "other\tlocal\tenrolled\t1\n"
	of := func(options ...string) scene { return scene{user: "daemon", answer: "1", options: options} }
	refused := func(options ...string) scene { return scene{user: "daemon", fails: authErr, options: options} }
	playAll(t, map[string]login{
		"free":             {list: renamed, answers: answers("u", "p"), scene: refused("unseen=daemon"), said: []string{cannotTell}, asked: "need for daemon"},
		"nobody listed":    {list: "", answers: answers("u", "p"), scene: refused("unseen=daemon"), said: []string{cannotTell}, asked: "need for daemon"},
		"asked":            {list: renamed, answers: answers("c", "p"), scene: of("unseen=daemon"), said: []string{codePrompt}, asked: "need for daemon check for daemon=1"},
		"no broker":        {list: renamed, scene: refused("unseen=daemon"), said: []string{cannotTell}},
		"wrong password":   {list: renamed, answers: answers("u", "p"), scene: scene{user: "daemon", wrong: 1, fails: authErr, options: []string{"unseen=daemon"}}},
		"a key":            {list: renamed, answers: answers("u", "p"), scene: scene{user: "daemon", fails: permDenied, options: []string{"alone", "unseen=daemon"}}, said: []string{cannotTell}, asked: "need for daemon"},
		"the uid":          {list: "other\tlocal\tenrolled\t-\n", answers: answers("u", "p"), scene: refused("unseen=1"), said: []string{cannotTell}, asked: "need for daemon, uid 1"},
		"the uid, listed":  {list: renamed, answers: answers("c", "p"), scene: of("unseen=1"), said: []string{codePrompt}, asked: "need for daemon, uid 1 check for daemon, uid 1=1"},
		"only once":        {list: renamed, answers: answers("c", "p"), scene: of("unseen-once=daemon"), said: []string{codePrompt}, asked: "need for daemon, uid 1 check for daemon, uid 1=1"},
		"only once, free":  {list: "x\tlocal\tenrolled\t-\n", answers: answers("u", "p"), scene: of("unseen-once=daemon")},
		"the uid of root":  {list: "x\tlocal\tenrolled\t-\n", answers: answers("u", "p"), scene: scene{user: "root", options: []string{"unseen=0"}}, asked: "need for root, uid 0 need for root, uid 0"}, // as ever
		"root, not at all": {list: "x\tlocal\tenrolled\t-\n", answers: answers("u", "p"), scene: scene{user: "root", fails: authErr, options: []string{"unseen=root"}}, said: []string{cannotTell}, asked: "need for root"},
	})
}

// A line that ends the checks of the password before ours leaves no way past the code.
func TestFactorAfterAGap(t *testing.T) {
	inBothBuilds(t, func(t *testing.T, b build, dir string) {
		enroll(t, dir, enrolledList)
		wantSaid(t, run(t, b, dir, scene{stack: "gap", token: "secret", answer: "1", fails: authErr, options: []string{"ssh"}}))
		enroll(t, dir, "")
		wantSaid(t, run(t, b, dir, scene{stack: "gap", token: "secret", options: []string{"ssh"}}))
	})
}

// A host under limits is refused, or asked; it survives.
func TestFactorUnderMisfortune(t *testing.T) {
	for misfortune, l := range map[string]login{
		"std":        {scene: scene{answer: "1"}, said: []string{codePrompt}, asked: "need check=1"},
		"fsize":      {scene: scene{answer: "1", fails: authErr}, said: []string{codePrompt}, asked: "need"},
		"nofile":     {scene: scene{fails: authErr}, said: []string{cannotTell}},
		"std nofile": {scene: scene{fails: authErr}, said: []string{cannotTell}},
	} {
		t.Run(misfortune, func(t *testing.T) {
			inBothBuilds(t, func(t *testing.T, b build, dir string) {
				l.list, l.answers, l.misfortune = enrolledList, answers("c", "p"), misfortune
				l.play(t, b, dir)
			})
		})
	}
}
