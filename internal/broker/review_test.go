package broker

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/internal/test/eventually"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// reviewed returns the audited judgements once everything that was announced has been reviewed.
func (b *Broker) reviewed(t *testing.T) (reasons []string) {
	t.Helper()
	for len(b.reviews.queue) > 0 {
		r := <-b.reviews.queue
		b.review(t.Context(), r)
		socket.CloseAll(r.token)
	}
	for r, err := range b.engine.Load().State.Trail(t.Context(), state.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Event.Action == "judged" {
			reasons = append(reasons, r.Event.Account+": "+r.Event.Reason)
		}
	}
	return reasons
}

func sealed(t *testing.T, text string) []*os.File {
	t.Helper()
	token, err := socket.SealedMemfd([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return []*os.File{token}
}

// TestReview: a password that was announced without a judgement is judged after it was set, and
// audited only if a rule refuses it.
func TestReview(t *testing.T) {
	const pid, settings = 4711, "[password]\nmin_length = 12\n"
	root, user := 0, 1000
	by := func(uid *int, seen shadowsync.SeenBy) shadowsync.Origin {
		return shadowsync.Origin{At: time.Now(), UID: uid, SeenBy: seen}
	}
	for name, test := range map[string]struct {
		settings, token, shadow string
		by                      shadowsync.Origin
		vouchedBy               int
		want                    string
	}{
		"a user's, not judged":     {settings, "short", "", by(&user, shadowsync.SeenByPAM), 0, exemptFromOurs},
		"a user's good one":        {settings, "long enough for it", "", by(&user, shadowsync.SeenByPAM), 0, ""},
		"a user's, judged":         {settings, "short", "", by(&user, shadowsync.SeenByPAM), pid, ""},
		"judged for another":       {settings, "short", "", by(&user, shadowsync.SeenByPAM), pid + 1, exemptFromOurs},
		"root's, not judged":       {settings, "short", "", by(&root, shadowsync.SeenByPAM), 0, exemptFromOurs},
		"root's, judged":           {settings, "short", "", by(&root, shadowsync.SeenByPAM), pid, ""},
		"an operator's":            {settings, "short", "", by(&user, shadowsync.SeenByPcli), 0, ""},
		"no rules":                 {"", "short", "", by(&user, shadowsync.SeenByPAM), 0, ""},
		"root within minimum age":  {"", "short", "9:99999:7:::", by(&root, shadowsync.SeenByPAM), 0, exemptFromAge},
		"root after minimum age":   {"", "short", "0:99999:7:::", by(&root, shadowsync.SeenByPAM), 0, ""},
		"somebody's who is gone":   {"", "short", "9:99999:7:::", by(nil, shadowsync.SeenByPAM), 0, exemptFromAge},
		"announced without itself": {settings, "", "", by(&user, shadowsync.SeenByPAM), 0, notJudged},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			b := brokerOf(t, dir, "admin", "admin", test.settings)
			b.reviews.queue = make(chan review, mostReviews)
			if test.shadow != "" {
				changedToday(t, b, dir, test.shadow, "1000")
			}
			if test.vouchedBy != 0 {
				b.vouchers.give("admin", test.vouchedBy)
			}
			var token []*os.File
			if test.token != "" {
				token = sealed(t, test.token)
			}
			b.reviewLater(b.engine.Load(), socket.Peer{PID: pid}, test.by, "admin", token)
			socket.CloseAll(token)
			got := strings.Join(b.reviewed(t), "\n")
			if test.want == "" && got != "" || test.want != "" && got != "admin: "+test.want {
				t.Errorf("on record %q, want %q", got, test.want)
			}
		})
	}
}

// TestReviewOfASuccessor: what the former person of a name had is not the present one's history.
func TestReviewOfASuccessor(t *testing.T) {
	dir, root := t.TempDir(), 0
	b := brokerOf(t, dir, "admin", "admin", "")
	b.reviews.queue = make(chan review, mostReviews)
	changedToday(t, b, dir, "9:99999:7:::", "gone 1000")
	token := sealed(t, "velvet")
	b.reviewLater(b.engine.Load(), socket.Peer{}, shadowsync.Origin{At: time.Now(), UID: &root, SeenBy: shadowsync.SeenByPAM}, "admin", token)
	socket.CloseAll(token)
	if got := b.reviewed(t); len(got) > 0 {
		t.Errorf("on record %q", got)
	}
}

// changedToday sets one password, which becomes the baseline, and then another.
func changedToday(t *testing.T, b *Broker, root, ageing, person string) {
	t.Helper()
	day := shadowsync.DayOf(time.Now())
	former := shadowsync.NoAgeing()
	former.Hash, former.LastChange = "$5$former", day
	if strings.HasPrefix(ageing, "9") {
		former.Min = 9
	}
	pair := shadowsync.Baseline{OS: former, Store: former}
	err := b.engine.Load().State.Commit(t.Context(), b.engine.Load().Config.Applications[0].Name, []shadowsync.Transition{{Account: "admin", Baseline: &pair, Person: person}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "etc", "shadow"), []byte("admin:$5$new:20000:"+ageing+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestMoreThanCanBeReviewed: chpasswd with thousands of lines leaves one record for all that could
// not be judged, and no token stays open.
func TestMoreThanCanBeReviewed(t *testing.T) {
	b := brokerOf(t, t.TempDir(), "admin", "admin", "[password]\nmin_length = 12\n")
	b.reviews.queue = make(chan review, 2)
	user := 1000
	by := shadowsync.Origin{At: time.Now(), UID: &user, SeenBy: shadowsync.SeenByPAM}
	queued := 0
	var tokens []os.FileInfo
	for range 9 {
		token := sealed(t, "short")
		info, err := token[0].Stat()
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, info)
		if b.reviewLater(b.engine.Load(), socket.Peer{PID: 1}, by, "admin", token) {
			queued++
		}
		socket.CloseAll(token)
	}
	if n := stillOpen(t, tokens); n != queued {
		t.Errorf("%d tokens are open with %d reviews in the queue", n, queued)
	}
	b.dropReviews()
	if n := stillOpen(t, tokens); n != 0 {
		t.Errorf("%d tokens were left open", n)
	}
	const want = ": not judged: 9 new passwords, set faster than the rules could be checked"
	if got := b.reviewed(t); queued != 2 || len(got) != 1 || got[0] != want {
		t.Errorf("%d were queued; on record %q", queued, got)
	}
}

// TestATokenDoesNotWait: if the judge is slow, a waiting password in clear text is dropped.
func TestATokenDoesNotWait(t *testing.T) {
	b := brokerOf(t, t.TempDir(), "admin", "admin", "[password]\nmin_length = 12\n")
	b.reviews.queue = make(chan review, 1)
	token := sealed(t, "short")
	b.reviews.queue <- review{user: "admin", token: token, since: time.Now().Add(-mayWait)}
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { b.reviewAll(ctx); close(ended) }()
	eventually.Holds(t, "the review is taken", func() bool { return len(b.reviews.queue) == 0 })
	end()
	<-ended
	if token[0].Close() == nil {
		t.Error("the token was left open")
	}
	if got := b.reviewed(t); len(got) != 1 || !strings.HasPrefix(got[0], ": not judged: 1 ") {
		t.Errorf("on record %q", got)
	}
}

// stillOpen counts which of these files this process has open.
func stillOpen(t *testing.T, files []os.FileInfo) (n int) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := os.Stat("/proc/self/fd/" + e.Name())
		if err == nil && slices.ContainsFunc(files, func(f os.FileInfo) bool { return os.SameFile(f, info) }) {
			n++
		}
	}
	return n
}
