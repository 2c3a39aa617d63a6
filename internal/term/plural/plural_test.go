package plural

import "testing"

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0 sessions", 1: "1 session", 2: "2 sessions", 21: "21 sessions"} {
		if got := Count(n, "session"); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
	if got := Form(1, "is", "are") + Form(2, "is", "are"); got != "isare" {
		t.Errorf("forms are %q", got)
	}
}
