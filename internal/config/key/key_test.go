package key

import (
	"testing"
	"time"
)

func TestSuggest(t *testing.T) {
	known := []string{"node", "node.name", "guard", "guard.limit", "application", "application.unit", "application.accounts", "application.admins"}
	for unknown, want := range map[string]string{
		"application.acounts": "accounts",
		"application.unti":    "unit",
		"application.admin":   "admins",
		"application.limit":   "guard.limit",
		"nodes":               "node",
		"limit":               "guard.limit",
		"application.colour":  "",
		"x":                   "",
	} {
		if got := Suggest(unknown, known); got != want {
			t.Errorf("%s: %q, want %q", unknown, got, want)
		}
	}
}

// TestCheckIsThePage: the values that the page allows are accepted, and those just outside are
// refused.
func TestCheckIsThePage(t *testing.T) {
	limit := Key{Name: "limit", Kind: Duration, Min: int64(time.Second), Max: int64(24 * time.Hour), Zero: "no guard"}
	classes := Key{Name: "classes", Kind: Number, Max: 4}
	rule := Key{Name: "rule", Kind: Text, OneOf: Of("os", "store", "hold")}
	listed := Key{Name: "listed", Kind: Texts, Required: true, Max: 4, Form: Form{Says: "short", Is: func(s string) bool { return len(s) < 4 }}}
	for _, tt := range []struct {
		key   Key
		value any
		says  string
	}{
		{limit, time.Second, ""},
		{limit, time.Duration(0), ""},
		{limit, time.Millisecond, `limit = 1ms: must be from 1s to 24h, or 0s (no guard)`},
		{limit, "1s", `limit must be a duration in quotes, such as "90s", "10m" or "1h30m"`},
		{classes, 4, ""},
		{classes, int64(5), "classes = 5: must be from 0 to 4"},
		{classes, "4", "classes must be an integer"},
		{rule, "hold", ""},
		{rule, "", `rule = "": must be os, store or hold`},
		{listed, []string{"a", "bcd"}, ""},
		{listed, []any{"a", 5}, "listed must be a list of strings"},
		{listed, []any{}, "listed is empty"},
		{listed, []string{"abcd"}, `listed: "abcd" must be short`},
		{listed, []string{"abc", "de"}, "listed: 5 bytes in all, the most are 4"},
		{Key{Name: "rules", Kind: TextByName, OneOf: Of("os")}, map[string]any{"admin": "oz"}, `rules.admin = "oz": must be os`},
		{Key{Name: "own", Kind: Flag}, 1, "own must be true or false"},
	} {
		err := tt.key.Check(tt.value)
		if tt.says == "" && err != nil || tt.says != "" && (err == nil || err.Error() != tt.says) {
			t.Errorf("%s = %v: %v, want %q", tt.key.Name, tt.value, err, tt.says)
		}
	}
	if got := limit.Values(); got != "from 1s to 24h, or 0s (no guard)" {
		t.Error(got)
	}
}
