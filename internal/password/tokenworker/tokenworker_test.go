package tokenworker

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/wire/socket"
)

type asked struct {
	Text string `json:"text"`
}

var shout = New("as-worker", "", func(q asked, secret []byte) (asked, error) {
	if q.Text == "fail" {
		return asked{}, errors.New("it is not possible")
	}
	return asked{q.Text + " " + strings.ToUpper(string(secret))}, nil
})

// TestMain lets the test binary be the workers that the tests ask.
func TestMain(m *testing.M) {
	if len(os.Args) != 2 || !strings.HasPrefix(os.Args[1], "as-") {
		os.Exit(m.Run())
	}
	var err error
	switch os.Args[1] {
	case "as-worker":
		err = shout.Command().Main(context.Background(), os.Stdin)
	case "as-hanging":
		time.Sleep(time.Minute)
	case "as-dying":
		err = errors.New("gone")
	}
	if err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

func TestAsk(t *testing.T) {
	for name, c := range map[string]struct{ command, question, want, fails string }{
		"answered":  {"as-worker", "what is", "what is SECRET", ""},
		"cannot":    {"as-worker", "fail", "", "it is not possible"},
		"dies":      {"as-dying", "", "", "cannot ask a worker"},
		"hangs":     {"as-hanging", "", "", "cannot ask a worker"},
		"too large": {"as-worker", strings.Repeat("x", socket.MaxPacket), "", "too large"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			token, err := socket.SealedMemfd([]byte("secret"))
			if err != nil {
				t.Fatal(err)
			}
			defer token.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			start := time.Now()
			job := shout
			job.Name = c.command
			got, err := job.Ask(ctx, token, asked{c.question})
			if got.Text != c.want || (err != nil) != (c.fails != "") || err != nil && !strings.Contains(err.Error(), c.fails) {
				t.Errorf("got %q, %v", got, err)
			}
			if took := time.Since(start); took > 15*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// A descriptor that is no sealed memfd is not read, because another process could change it
// meanwhile.
func TestWorkerWantsASealedToken(t *testing.T) {
	plain, err := os.Open("/dev/zero")
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if got, err := shout.Ask(ctx, plain, asked{"what"}); err == nil || !strings.Contains(err.Error(), "sealed") {
		t.Errorf("got %q, %v", got, err)
	}
}
