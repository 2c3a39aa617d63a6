package pcli

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/factor/guide"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
)

const rightMailed = "12345678"

func withLost(state operator.Factor) *fake {
	f := withFactor(state)
	f.hello.Lost = true
	return f
}

// lostDialogue asks as the broker does, of who lost the authenticator.
func (f *fake) lostDialogue(ctx context.Context, c *socket.Conn, q operator.Request) {
	var lost operator.Lost
	if json.Unmarshal(q.Args, &lost) != nil {
		return
	}
	if current, ok := f.question(ctx, c, operator.Turn{Ask: operator.AskCurrent}); !ok || current != f.password {
		return
	}
	turn := operator.Turn{Ask: operator.AskMailed, Left: 2}
	if !lost.Mailed {
		turn.Address = "a…n@example.net"
	}
	for {
		code, ok := f.question(ctx, c, turn)
		if !ok {
			return
		}
		if strings.ReplaceAll(code, " ", "") == rightMailed || code == rightTicket {
			break
		}
		turn.Weak = errWrongCode.Text
	}
	if f.askedCode(ctx, c, operator.Turn{Ask: operator.AskCode, Setup: &operator.Setup{Key: "GEZD GNBV", Address: factorAddress, Enrolment: rightTicket}}) {
		f.shown = true
		_ = c.Send(ctx, operator.Turn{Done: true, Recovery: []string{"abcdef-ghjkmn-pqrstu"}})
	}
}

func TestFormsOfTheWayBack(t *testing.T) {
	for typed, want := range map[string][2]bool{
		"lost": {true, false}, " LOST ": {true, false}, "12345678": {false, true}, "1234 5678": {false, true}, "123456": {}, "lost1": {}, "1234567a": {}, rightTicket: {false, true}, "abcdef-ghjkmn-pqrstu": {}, "": {},
	} {
		if got := [2]bool{guide.IsLost([]byte(typed)), guide.LeadsBack([]byte(typed))}; got != want {
			t.Errorf("%q: %v", typed, got)
		}
	}
	if strings.Contains(guide.AskCode, guide.Lost) {
		t.Error("without mail, the prompt offers it")
	}
}
