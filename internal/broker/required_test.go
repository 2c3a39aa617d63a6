package broker

import (
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/wire/module"
)

// TestRequiredAtLogin: within the days an account without a second factor may go on without; after them it
// must enrol one, and does so at the prompt.
func TestRequiredAtLogin(t *testing.T) {
	g := &gate{Broker: brokerOf(t, t.TempDir(), "admin", "admin", "[second_factor]\nrequired = \"everybody\"\ndays = 14\n")}
	g.codes.turns = make(chan struct{}, mostCodes)
	since := func(ago time.Duration) {
		t.Helper()
		line := "everybody\t" + time.Now().Add(-ago).UTC().Format(time.RFC3339) + "\n"
		if err := inroot.Replace(g.engine.Load().Root(), engine.RequiredFile, []byte(line), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g.keepEnrolled(t.Context())
	need := module.Login{Op: module.FactorNeed, User: "admin"}
	until := time.Now().AddDate(0, 0, 14).Format("2006-01-02")
	if got := g.asks(t, 0, need, ""); !strings.HasPrefix(got, "oA second factor is required of this account from "+until) || !strings.HasSuffix(got, "on.\nType 'enrol' to enrol one now, or press Enter to go on:") {
		t.Errorf("within the days: %q", got)
	}
	if got := g.asks(t, 0, module.Login{Op: module.FactorNeed, User: "stranger"}, ""); got != "u" {
		t.Errorf("of an account that nothing manages: %q", got)
	}
	for _, user := range []string{"admin", "stranger"} {
		if got := g.asks(t, 0, module.Login{Op: module.FactorStranger, User: user}, ""); got != "cVerification code:" {
			t.Errorf("%s is asked %q", user, got)
		}
		for typed, want := range map[string]string{"123456": "rthe code is not right", "lost": "rthat is no code: six digits, or a recovery code"} {
			if got := g.asks(t, 0, module.Login{Op: module.FactorStranger, User: user}, typed); got != want {
				t.Errorf("%s is told %q", user, got)
			}
		}
	}
	since(15 * 24 * time.Hour)
	const must = "A second factor is required of this account.\nType 'enrol' to enrol one now:"
	g.needs(t, "c"+must)
	for _, typed := range []string{"123456", "lost", "no", "abcd-efgh-jkmn-pqrs-tuvw"} {
		g.types(t, typed, module.Asks, must)
	}
	shown := g.types(t, "Enrol", module.Asks, "\nVerification code:")
	g.types(t, "000000", module.Asks, "the code is not right\nVerification code:")
	g.needs(t, "c"+must)
	g.types(t, app(t, shown), module.Shows, "\nPress Enter to go on:") // in a later login, too
	g.needs(t, "cVerification code:")
	g.types(t, "enrol", module.Refuses, "that is no code: six digits, or a recovery code")
}
