package broker

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/socket"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// reviewed returns what is on record of judgements once everything that was announced has
// been reviewed.
func (b *Broker) reviewed(t *testing.T) (reasons []string) {
	t.Helper()
	for len(b.reviews.queue) > 0 {
		r := <-b.reviews.queue
		b.review(t.Context(), r)
		closeAll(r.token)
	}
	for r, err := range b.engine.Load().State.Audit(t.Context(), state.Query{}) {
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

// TestReview: what was announced without a judgement is judged once it is set, and on
// record if a rule refuses it; the rest is not.
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
				changedToday(t, b, dir, test.shadow)
			}
			if test.vouchedBy != 0 {
				b.vouchers.give("admin", test.vouchedBy)
			}
			var token []*os.File
			if test.token != "" {
				token = sealed(t, test.token)
			}
			if !b.reviewLater(socket.Peer{PID: pid}, test.by, "admin", token) {
				closeAll(token)
			}
			got := strings.Join(b.reviewed(t), "\n")
			if test.want == "" && got != "" || test.want != "" && got != "admin: "+test.want {
				t.Errorf("on record %q, want %q", got, test.want)
			}
		})
	}
}

// changedToday has the account hold one password, which is made the baseline, and then another.
func changedToday(t *testing.T, b *Broker, root, ageing string) {
	t.Helper()
	day := shadowsync.DayOf(time.Now())
	former := shadowsync.NoAgeing()
	former.Hash, former.LastChange = "$5$former", day
	if strings.HasPrefix(ageing, "9") {
		former.Min = 9
	}
	pair := shadowsync.Baseline{OS: former, Store: former}
	err := b.engine.Load().State.Commit(t.Context(), b.engine.Load().Config.Applications[0].Name, []shadowsync.Transition{{Account: "admin", Baseline: &pair}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "etc", "shadow"), []byte("admin:$5$new:20000:"+ageing+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestMoreThanCanBeReviewed: chpasswd of thousands of lines has one record for all that
// could not be judged, and no token stays open.
func TestMoreThanCanBeReviewed(t *testing.T) {
	b := brokerOf(t, t.TempDir(), "admin", "admin", "[password]\nmin_length = 12\n")
	b.reviews.queue = make(chan review, 2)
	user := 1000
	by := shadowsync.Origin{At: time.Now(), UID: &user, SeenBy: shadowsync.SeenByPAM}
	var taken []*os.File
	for range 9 {
		token := sealed(t, "short")
		if b.reviewLater(socket.Peer{PID: 1}, by, "admin", token) {
			taken = append(taken, token...)
			continue
		}
		closeAll(token)
	}
	b.dropReviews()
	for _, token := range taken {
		if token.Close() == nil {
			t.Error("a token was left open")
		}
	}
	const want = ": not judged: 9 new passwords, set faster than they could be held to the rules"
	if got := b.reviewed(t); len(taken) != 2 || len(got) != 1 || got[0] != want {
		t.Errorf("%d were taken; on record %q", len(taken), got)
	}
}

// TestATokenDoesNotWait: behind a judge that is slow, a password in clear text is given up.
func TestATokenDoesNotWait(t *testing.T) {
	b := brokerOf(t, t.TempDir(), "admin", "admin", "[password]\nmin_length = 12\n")
	b.reviews.queue = make(chan review, 1)
	token := sealed(t, "short")
	b.reviews.queue <- review{user: "admin", token: token, since: time.Now().Add(-mayWait)}
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { b.reviewAll(ctx); close(ended) }()
	for deadline := time.Now().Add(5 * time.Second); len(b.reviews.queue) > 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	end()
	<-ended
	if token[0].Close() == nil {
		t.Error("the token was left open")
	}
	if got := b.reviewed(t); len(got) != 1 || !strings.HasPrefix(got[0], ": not judged: 1 ") {
		t.Errorf("on record %q", got)
	}
}
