package policy

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/socket"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// TestMain lets the test binary be the worker that the rules start.
func TestMain(m *testing.M) {
	workers := map[string]func(context.Context, *os.File) error{RulesArgument: RulesMain, ReviewArgument: ReviewMain}
	work := workers[os.Args[len(os.Args)-1]]
	if work == nil {
		os.Exit(m.Run())
	}
	if err := work(context.Background(), os.Stdin); err != nil {
		os.Exit(1)
	}
}

// The worker says what the rules say in our own process.
func TestCheckFile(t *testing.T) {
	present := shadowsync.Credential{Hash: hash(t, "present")}
	record := shadowsync.Record{{Baseline: shadowsync.Baseline{OS: shadowsync.Credential{Hash: hash(t, "before")}}}}
	rules := Rules{MinLength: 4, MinClasses: 1, Reject: []string{"acme\u2028"}, History: 2}
	for token, want := range map[string]string{
		"abc": "3 characters", "present": "used before", "before": "used before", "ACME\u2028": "reject list", "another": "",
	} {
		f, err := socket.SealedMemfd([]byte(token))
		if err != nil {
			t.Fatal(err)
		}
		err = rules.CheckFile(t.Context(), f, present, record)
		_ = f.Close()
		if want == "" && err != nil || want != "" && (!errors.Is(err, ErrWeak) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", token, err, want)
		}
	}
}

func TestCheckFileWithoutAToken(t *testing.T) {
	f, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := (Rules{MinLength: 4}).CheckFile(t.Context(), f, shadowsync.Credential{}, nil); err == nil || errors.Is(err, ErrWeak) {
		t.Errorf("it was judged: %v", err)
	}
}
