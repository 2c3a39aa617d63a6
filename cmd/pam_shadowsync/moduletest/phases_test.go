package moduletest

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Lists of accounts: with rules for new passwords, and with a store that waits for a login.
const (
	judgedList  = "other\tother.service\nadmin\t128T.service\tjudge\n"
	awaitedList = "other\tother.service\tjudge\nadmin\t128T.service\tlogin\n"
	tooShort    = "BAD PASSWORD: it has 3 characters, 12 are required"
	allowed     = "shadowsync: admin: the rules refuse it; root may"
	authtokErr  = 20
)

// noting is a peer that answers each request by its operation, and stores the requests. For the answer "" it hangs.
func noting(t *testing.T, answers map[string]string, got *[]request) func(int) {
	return func(conn int) {
		r, err := receive(conn)
		if err != nil {
			t.Error(err)
		}
		*got = append(*got, r)
		for op, answer := range answers {
			if !strings.HasPrefix(r.text, `{"op":"`+op+`",`) {
				continue
			}
			if answer == "" {
				untilClosed(conn)
				return
			}
			unix.Sendto(conn, []byte(answer), unix.MSG_NOSIGNAL, nil)
		}
	}
}

func wantAsked(t *testing.T, got []request, token string, ops ...string) {
	t.Helper()
	var asked []string
	for _, r := range got {
		op := strings.TrimSuffix(strings.TrimPrefix(r.text, `{"op":"`), `","plain":true,"user":"admin"}`)
		asked = append(asked, op)
		if r.token != token || r.hasToken && r.seals&allSeals != allSeals {
			t.Errorf("%s came with token %q, seals %#x", op, r.token, r.seals)
		}
	}
	if strings.Join(asked, " ") != strings.Join(ops, " ") {
		t.Errorf("asked %q, want %q", asked, ops)
	}
}

// The judge refuses a bad password, or tells the person and goes on, in the same cases as pam_pwquality.
func TestJudgement(t *testing.T) {
	cases := map[string]struct {
		options []string
		answer  string
		asked   []string
		said    []string
		fails   int
	}{
		"a person's is refused":      {[]string{"person"}, tooShort, []string{"judge"}, []string{"3 " + tooShort}, authtokErr},
		"a person's is taken":        {[]string{"person"}, "", []string{"judge", "pam-changed"}, []string{persisted}, 0},
		"root is told":               {nil, allowed, []string{"judge-exempt", "pam-changed"}, []string{allowed, persisted}, 0},
		"an expired one is refused":  {[]string{"expired"}, tooShort, []string{"judge"}, []string{"3 " + tooShort}, authtokErr},
		"the broker's word counts":   {nil, tooShort, []string{"judge-exempt"}, []string{"3 " + tooShort}, authtokErr},
		"refused without a word":     {[]string{"person", "silent"}, tooShort, []string{"judge"}, nil, authtokErr},
		"refused, nobody to be told": {[]string{"person", "noconv"}, tooShort, []string{"judge"}, nil, authtokErr},
		"a text is no refusal":       {[]string{"person"}, allowed, []string{"judge", "pam-changed"}, []string{allowed, persisted}, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			inBothBuilds(t, func(t *testing.T, b build, dir string) {
				writeManaged(t, dir, judgedList)
				var got []request
				serve(t, listen(t, dir, 5, 0), noting(t, map[string]string{
					"judge": answerOf(c.answer), "judge-exempt": answerOf(c.answer), "pam-changed": answerOf(persisted),
				}, &got))
				r := run(t, b, dir, scene{stack: "judged", token: "abc", options: c.options, fails: c.fails})
				wantSaid(t, r, c.said...)
				wantAsked(t, got, "abc", c.asked...)
			})
		})
	}
}

// If no module before it asked for the new password, the judge does, because the module after it may not.
func TestJudgeAsksForThePassword(t *testing.T) {
	for name, list := range map[string]string{"judged": judgedList, "nobody's": "", "not judged": managedList} {
		t.Run(name, func(t *testing.T) {
			inBothBuilds(t, func(t *testing.T, b build, dir string) {
				writeManaged(t, dir, list)
				var got []request
				serve(t, listen(t, dir, 5, 0), noting(t, map[string]string{"judge-exempt": answerOf(""), "pam-changed": answerOf("")}, &got))
				r := run(t, b, dir, scene{stack: "judged", answer: "typed-twice"})
				wantSaid(t, r, "1 New password: ", "1 Retype new password: ")
				asked := map[string][]string{"judged": {"judge-exempt", "pam-changed"}, "not judged": {"pam-changed"}}[name]
				wantAsked(t, got, "typed-twice", asked...)
			})
		})
	}
}

// People can set a password although the broker does not judge it; both phases together wait two seconds at most.
func TestJudgeDoesNotAnswer(t *testing.T) {
	const none = ""
	cases := map[string]struct {
		answers map[string]string
		asked   []string
		said    []string
		least   time.Duration
		marked  bool
	}{
		"hangs, and goes on hanging": {map[string]string{"judge": none, "pam-changed": none}, []string{"judge", "pam-changed"}, []string{queued}, 1900 * time.Millisecond, true},
		"hangs, and then listens":    {map[string]string{"judge": none, "pam-changed": answerOf(persisted)}, []string{"judge", "pam-changed"}, []string{persisted}, 900 * time.Millisecond, true},
		"does not know the question": {map[string]string{"judge": `{"error":"not permitted"}`, "pam-changed": answerOf(persisted)}, []string{"judge", "pam-changed"}, []string{persisted}, 0, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			inBothBuilds(t, func(t *testing.T, b build, dir string) {
				writeManaged(t, dir, judgedList)
				var got []request
				serve(t, listen(t, dir, 5, 0), noting(t, c.answers, &got))
				r := run(t, b, dir, scene{stack: "judged", token: "abc", options: []string{"person"}})
				wantSaid(t, r, c.said...)
				wantAsked(t, got, "abc", c.asked...)
				if r.slowest < c.least || r.slowest > 2900*time.Millisecond || timeoutMarked(t, dir) != c.marked {
					t.Errorf("took %v, at least %v and at most 2 s; marked %v", r.slowest, c.least, timeoutMarked(t, dir))
				}
			})
		})
	}
}

// The person who runs passwd may stop it with a signal. That does not cause a time-out, so the person cannot get round a
// rule by it, and the module does not fall silent for everybody.
func TestJudgeOfAStoppedHost(t *testing.T) {
	inBothBuilds(t, func(t *testing.T, b build, dir string) {
		writeManaged(t, dir, judgedList)
		serve(t, listen(t, dir, 5, 0), func(conn int) {
			peer, err := unix.GetsockoptUcred(conn, unix.SOL_SOCKET, unix.SO_PEERCRED)
			if err != nil {
				t.Error(err)
				return
			}
			receive(conn)
			unix.Kill(int(peer.Pid), unix.SIGSTOP)
			time.Sleep(2500 * time.Millisecond) // more than the module waits for
			unix.Kill(int(peer.Pid), unix.SIGCONT)
			time.Sleep(100 * time.Millisecond) // and the answer has not been sent yet
			unix.Sendto(conn, []byte(answerOf(tooShort)), unix.MSG_NOSIGNAL, nil)
		})
		r := run(t, b, dir, scene{stack: "judged", token: "abc", options: []string{"person"}, fails: authtokErr})
		wantSaid(t, r, "3 "+tooShort)
		if timeoutMarked(t, dir) {
			t.Error("a time-out was marked")
		}
	})
}

// If a broker answers announcements but never judges, a thousand changes must not wait a second each.
func TestThousandChangesAfterJudgeTimeout(t *testing.T) {
	dir := newDir(t)
	writeManaged(t, dir, judgedList)
	var got []request
	serve(t, listen(t, dir, 5, 0), noting(t, map[string]string{"judge-exempt": "", "pam-changed": answerOf(persisted)}, &got))
	r := run(t, release, dir, scene{stack: "judged", token: "abc", calls: 1001})
	wantSaid(t, r, persisted)
	if r.all > 100*time.Second { // a thousand seconds, if each waited
		t.Errorf("1,000 changes after a time-out took %v in all", r.all)
	}
}

func TestJudgeUnderMisfortune(t *testing.T) {
	for _, misfortune := range []string{"std", "fsize", "nofile", "std nofile"} {
		t.Run(misfortune, func(t *testing.T) {
			inBothBuilds(t, func(t *testing.T, b build, dir string) {
				writeManaged(t, dir, judgedList)
				serve(t, listen(t, dir, 5, 0), answering(answerOf("")))
				run(t, b, dir, scene{stack: "judged", token: "abc", misfortune: misfortune, options: []string{"person"}})
			})
		})
	}
}

// At a login the module connects only if a store waits for the password. It shows nothing, and the login never fails.
func TestLogin(t *testing.T) {
	const op = "pam-authenticated"
	cases := map[string]struct {
		list, token string
		options     []string
		answer      string
		asked       []string
	}{
		"waited for":            {awaitedList, "secret", nil, answerOf(""), []string{op}},
		"whatever is answered":  {awaitedList, "secret", nil, answerOf(tooShort), []string{op}},
		"or that is none":       {awaitedList, "secret", nil, "garbage", []string{op}},
		"by a person's program": {awaitedList, "secret", []string{"person"}, answerOf(""), []string{op}},
		"not waited for":        {judgedList, "secret", nil, answerOf(""), nil},
		"of another":            {"other\tother.service\tlogin\n", "secret", nil, answerOf(""), nil},
		"without a list":        {"", "secret", nil, answerOf(""), nil},
		"a key, no password":    {awaitedList, "", nil, answerOf(""), nil},
		"not root's program":    {awaitedList, "secret", []string{"locker"}, answerOf(""), nil},
		"another version's":     {"admin\t128T.service\tjudge\tnews\tlogin\n", "secret", nil, answerOf(""), []string{op}},
		"a mark that is longer": {"admin\t128T.service\tlogins\t\n", "secret", nil, answerOf(""), nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			inBothBuilds(t, func(t *testing.T, b build, dir string) {
				writeManaged(t, dir, c.list)
				var got []request
				serve(t, listen(t, dir, 5, 0), noting(t, map[string]string{op: c.answer}, &got))
				r := run(t, b, dir, scene{stack: "login", token: c.token, options: append(c.options, "login")})
				wantSaid(t, r)
				wantAsked(t, got, c.token, c.asked...)
			})
		})
	}
}

func TestLoginUnderMisfortune(t *testing.T) {
	peers := map[string]func(int){"hangs": untilClosed, "closes": func(int) {}, "answers": answering(answerOf(""))}
	for name, peer := range peers {
		for _, misfortune := range []string{"", "std", "fsize", "nofile"} {
			t.Run(name+"/"+misfortune, func(t *testing.T) {
				inBothBuilds(t, func(t *testing.T, b build, dir string) {
					writeManaged(t, dir, awaitedList)
					serve(t, listen(t, dir, 5, 0), peer)
					r := run(t, b, dir, scene{stack: "login", token: "secret", misfortune: misfortune, options: []string{"login"}})
					wantSaid(t, r)
				})
			})
		}
	}
}

// For half a minute after a time-out no login waits.
func TestLoginsAfterTimeout(t *testing.T) {
	dir := newDir(t)
	writeManaged(t, dir, awaitedList)
	serve(t, listen(t, dir, 5, 0), untilClosed)
	r := run(t, release, dir, scene{stack: "login", token: "secret", calls: 1001, options: []string{"login"}})
	wantSaid(t, r)
	if r.slowest < 900*time.Millisecond || r.slowest > 1900*time.Millisecond || r.all > 100*time.Second || !timeoutMarked(t, dir) {
		t.Errorf("1,001 logins took %v in all, %v the slowest, marked %v", r.all, r.slowest, timeoutMarked(t, dir))
	}
}
