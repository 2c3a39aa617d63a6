package tokenworker

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/socket"
)

// TestMain lets the test binary be the workers that the tests ask.
func TestMain(m *testing.M) {
	if len(os.Args) != 2 || !strings.HasPrefix(os.Args[1], "as-") {
		os.Exit(m.Run())
	}
	var err error
	switch os.Args[1] {
	case "as-worker":
		err = Serve(context.Background(), os.Stdin, func(q string, secret []byte) (string, error) {
			if q == "fail" {
				return "", errors.New("it is not possible")
			}
			return q + " " + strings.ToUpper(string(secret)), nil
		})
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
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			start := time.Now()
			got, err := Ask[string, string](ctx, c.command, token, c.question)
			if got != c.want || (err != nil) != (c.fails != "") || err != nil && !strings.Contains(err.Error(), c.fails) {
				t.Errorf("got %q, %v", got, err)
			}
			if took := time.Since(start); took > 4*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// What is no sealed memfd is not read: whoever holds it could change it meanwhile.
func TestWorkerWantsASealedToken(t *testing.T) {
	plain, err := os.Open("/dev/zero")
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if got, err := Ask[string, string](ctx, "as-worker", plain, "what"); err == nil || !strings.Contains(err.Error(), "sealed") {
		t.Errorf("got %q, %v", got, err)
	}
}
