package totp

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// rfcSecret is the secret of the test vectors in both RFCs.
var rfcSecret = []byte("12345678901234567890")

// RFC 4226, appendix D.
func TestCodesOfRFC4226(t *testing.T) {
	for counter, want := range []string{
		"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489",
	} {
		if got := string(Code(rfcSecret, int64(counter))); got != want {
			t.Errorf("counter %d: %s, want %s", counter, got, want)
		}
	}
}

// RFC 6238, appendix B, the rows of SHA-1. They have eight digits: ours are the last six.
var rfc6238 = map[int64]string{
	59: "94287082", 1111111109: "07081804", 1111111111: "14050471",
	1234567890: "89005924", 2000000000: "69279037", 20000000000: "65353130",
}

func TestCodesOfRFC6238(t *testing.T) {
	for seconds, long := range rfc6238 {
		now, want := time.Unix(seconds, 0), long[len(long)-Digits:]
		if got := string(Code(rfcSecret, StepAt(now))); got != want {
			t.Errorf("at %d: %s, want %s", seconds, got, want)
		}
		if step, ok := Match(rfcSecret, []byte(want), now, 0); !ok || step != seconds/30 {
			t.Errorf("at %d: %s matches step %d, %v", seconds, want, step, ok)
		}
	}
}

// TestOathtool compares with another implementation, over secrets and times of every kind.
func TestOathtool(t *testing.T) {
	if _, err := exec.LookPath("oathtool"); err != nil {
		t.Skip("oathtool is not installed")
	}
	for _, seconds := range []int64{0, 29, 30, 1<<31 - 1, 1 << 31, 1 << 32, 1790000000} {
		for _, secret := range [][]byte{NewSecret(), bytes.Repeat([]byte{0}, 16), bytes.Repeat([]byte{0xff}, 64)} {
			now := time.Unix(seconds, 0)
			out, err := exec.CommandContext(t.Context(), "oathtool", "--totp", "--now", now.UTC().Format("2006-01-02 15:04:05 UTC"),
				hex.EncodeToString(secret)).Output()
			if err != nil {
				t.Fatal(err)
			}
			if want, got := strings.TrimSpace(string(out)), string(Code(secret, StepAt(now))); got != want {
				t.Errorf("at %d with %x: %s, oathtool says %s", seconds, secret, got, want)
			}
		}
	}
}

func TestMatchWindowAndFloor(t *testing.T) {
	const current = 37037036
	now := StepBegins(current).Add(Period - time.Nanosecond)
	for _, tt := range []struct {
		name  string
		of    int64
		floor int64
		ok    bool
	}{
		{"the present step", current, 0, true},
		{"one step behind", current - 1, 0, true},
		{"one step ahead", current + 1, 0, true},
		{"two steps behind", current - 2, 0, false},
		{"two steps ahead", current + 2, 0, false},
		{"used", current, current, false},
		{"an earlier one was used", current, current - 1, true},
		{"a later one was used", current - 1, current, false},
		{"the floor is in the future", current + 1, current + 20, false},
		{"the last one above the floor", current + 1, current, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			step, ok := Match(rfcSecret, Code(rfcSecret, tt.of), now, tt.floor)
			if ok != tt.ok || ok && step != tt.of || !ok && step != 0 {
				t.Errorf("step %d, %v", step, ok)
			}
		})
	}
}

func TestMatchRefusesOtherForms(t *testing.T) {
	now := time.Unix(1111111109, 0)
	for _, code := range []string{"", "0", "81804", "0081804", "07081804", "081804 ", "08180a", "\b\n\r\177INCORRECT"} {
		if step, ok := Match(rfcSecret, []byte(code), now, 0); ok {
			t.Errorf("%q matches step %d", code, step)
		}
	}
	if _, ok := Match(rfcSecret, nil, now, 0); ok {
		t.Error("no code at all matches")
	}
}

// A code that belongs to two steps of the window is taken as the earlier: that leaves the later one.
func TestMatchTakesTheEarlierOfTwoSteps(t *testing.T) {
	const step = 910737 // the first with the same code as its next
	if !bytes.Equal(Code(rfcSecret, step), Code(rfcSecret, step+1)) {
		t.Fatal("the two steps have different codes: search others")
	}
	code, now := Code(rfcSecret, step), StepBegins(step)
	if got, ok := Match(rfcSecret, code, now, step-1); !ok || got != step {
		t.Errorf("step %d, %v, want %d", got, ok, step)
	}
	if got, ok := Match(rfcSecret, code, now, step); !ok || got != step+1 {
		t.Errorf("with the earlier one used: step %d, %v, want %d", got, ok, step+1)
	}
}

func TestStepsBefore1970MatchNothing(t *testing.T) {
	for seconds, want := range map[int64]int64{-1: -1, -30: -1, -31: -2, 0: 0, 29: 0, 30: 1} {
		if got := StepAt(time.Unix(seconds, 0)); got != want {
			t.Errorf("%d s: step %d, want %d", seconds, got, want)
		}
	}
	before := time.Unix(-61, 0)
	if step, ok := Match(rfcSecret, Code(rfcSecret, StepAt(before)), before, -1000); ok {
		t.Errorf("matches step %d", step)
	}
	if steps, found := Offset(rfcSecret, Code(rfcSecret, -3), before, 2); found {
		t.Errorf("found %d steps off", steps)
	}
}

func TestOffset(t *testing.T) {
	now := time.Unix(1790000000, 0)
	for _, steps := range []int64{0, 1, -1, 14, -14, 120, -120} {
		got, found := Offset(rfcSecret, Code(rfcSecret, StepAt(now)+steps), now, 120)
		if !found || got != steps {
			t.Errorf("%d steps off: %d, %v", steps, got, found)
		}
	}
	if steps, found := Offset(rfcSecret, Code(rfcSecret, StepAt(now)+121), now, 120); found {
		t.Errorf("a code outside the window is %d steps off", steps)
	}
	if _, found := Offset(rfcSecret, []byte("99999"), now, 120); found {
		t.Error("five digits are found")
	}
}

func TestNewSecret(t *testing.T) {
	one, other := NewSecret(), NewSecret()
	if len(one) != 20 || len(other) != 20 {
		t.Errorf("%d and %d bytes", len(one), len(other))
	}
	if bytes.Equal(one, other) {
		t.Error("the same secret twice")
	}
}

func TestCodesHaveSixDigits(t *testing.T) {
	var leading bool
	for step := range int64(1000) {
		code := Code(rfcSecret, step)
		if len(code) != Digits || slices.ContainsFunc(code, func(c byte) bool { return c < '0' || c > '9' }) {
			t.Fatalf("step %d: %q", step, code)
		}
		leading = leading || code[0] == '0'
	}
	if !leading {
		t.Error("no code of a thousand begins with 0")
	}
}

func ExampleStepBegins() {
	fmt.Println(StepBegins(StepAt(time.Unix(1111111111, 0))).UTC().Format(time.RFC3339))
	// Output: 2005-03-18T01:58:30Z
}
