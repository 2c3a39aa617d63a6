package policy

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/internal/wire/worker"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// TestMain lets the test binary be the worker that the rules start.
func TestMain(m *testing.M) {
	for _, w := range []worker.Command{RulesCommand, ReviewCommand, JudgeCommand} {
		if w.Name != os.Args[len(os.Args)-1] {
			continue
		}
		if err := w.Main(context.Background(), os.Stdin); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// The worker returns the same result as the rules in this process.
func TestCheckFile(t *testing.T) {
	present := shadowsync.Credential{Hash: hash(t, "present")}
	record := shadowsync.Record{{Baseline: shadowsync.Baseline{OS: shadowsync.Credential{Hash: hash(t, "before")}}}}
	rules := Rules{MinLength: 4, MinClasses: 1, Reject: []string{"acme\u2028"}, History: 2}
	for token, want := range map[string]string{
		"abc": "3 characters", "present": "used before", "before": "used before", "ACME\u2028": "forbidden text", "another": "",
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

// The worker of a Judge answers many questions, and says which are refused and which cannot be
// judged. libpam-modules has these modules on every system.
func TestJudge(t *testing.T) {
	for line, want := range map[string]string{
		"password required pam_permit.so":           "",
		"password requisite pam_deny.so":            "refused",
		"password requisite pam_no_such_module.so":  "cannot ask",
		"password requisite pam_debug.so auth=perm": "",
	} {
		dir, err := writeStack(t.TempDir(), line)
		if err != nil {
			t.Fatal(err)
		}
		j := &Judge{dir: dir}
		for range 2 {
			err := j.Check("root", []byte("token"))
			switch want {
			case "":
				if err != nil {
					t.Errorf("%s: %v", line, err)
				}
			case "refused":
				if !errors.Is(err, ErrWeak) {
					t.Errorf("%s: %v, want a refusal", line, err)
				}
			default:
				if err == nil || errors.Is(err, ErrWeak) || !strings.Contains(err.Error(), want) {
					t.Errorf("%s: %v, want %q", line, err, want)
				}
			}
		}
		if len(j.all) != 1 {
			t.Errorf("%s: %d workers for questions one after the other", line, len(j.all))
		}
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	}
}
