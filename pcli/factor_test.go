package pcli

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/factor/guide"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
)

const askCodeOr = "Verification code (or 'lost'):"

const (
	rightCode     = "123456"
	rightTicket   = "abcd-efgh-jkmn-pqrs-tuvw"
	factorAddress = "otpauth://totp/conductor:user222?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=conductor"
)

var errWrongCode = operator.Errorf(operator.CodeRefused, "the code is not right")

// requiring is a broker that requires a second factor of an account without one.
func requiring(must bool) *fake {
	f := withFactor(operator.FactorNone)
	f.hello.Required, f.hello.MustEnrol = "A second factor is required of this account from 2026-12-13 12:00 on.", must
	return f
}

// withFactor is a fake whose operator has a second factor in that state.
func withFactor(state operator.Factor) *fake {
	f := newFake()
	f.hello.Factor, f.left = state, 9
	f.hello.Ops = append(slices.Clone(adminOps), operator.OpCode, operator.OpEnrol2FA, operator.OpRenewCodes, operator.OpReset2FA, operator.OpLost2FA)
	f.before = func(op operator.Op) *operator.Error {
		free := []operator.Op{operator.OpHello, operator.OpCode, operator.OpSetPassword, operator.OpEnrol2FA, operator.OpRenewCodes, operator.OpReset2FA, operator.OpLost2FA}
		switch {
		case slices.Contains(free, op) || f.shown:
			return nil
		case f.hello.Factor == operator.FactorEnrolled:
			return operator.Errorf(operator.CodeNeeded, "a verification code is needed")
		case f.hello.Factor == operator.FactorReset:
			return operator.Errorf(operator.NotAuthenticated, "your second factor was reset")
		}
		return nil
	}
	return f
}

func (f *fake) code(ctx context.Context, c *socket.Conn, code string) error {
	if code != rightCode {
		return errWrongCode
	}
	f.shown = true
	return operator.SendResult(ctx, c, operator.CodeTaken{CodesLeft: f.left})
}

func (f *fake) resetFactor(ctx context.Context, c *socket.Conn, q operator.Request, code string) error {
	var realm operator.Realm
	if err := json.Unmarshal(q.Args, &realm); err != nil {
		return err
	}
	if code != rightCode {
		return errWrongCode
	}
	if realm.Realm != "local" || q.User == "jdeveloper" {
		return operator.SendResult(ctx, c, operator.EnrolmentCode{})
	}
	return operator.SendResult(ctx, c, operator.EnrolmentCode{Code: rightTicket})
}

// askedCode asks for a code three times, as the broker does.
func (f *fake) askedCode(ctx context.Context, c *socket.Conn, turn operator.Turn) bool {
	want := rightCode
	if turn.Ask == operator.AskEnrolment {
		want = rightTicket
	}
	for turn.Left = 2; ; turn.Left-- {
		code, ok := f.question(ctx, c, turn)
		switch {
		case !ok:
			return false
		case code == want:
			return true
		case turn.Left == 0:
			_ = c.Send(ctx, operator.Turn{Error: errWrongCode})
			return false
		}
		turn.Weak = errWrongCode.Text
	}
}

// factorDialogue asks for enrol 2fa and renew 2fa codes as the broker does.
func (f *fake) factorDialogue(ctx context.Context, c *socket.Conn, op operator.Op) {
	if current, ok := f.question(ctx, c, operator.Turn{Ask: operator.AskCurrent}); !ok || current != f.password {
		_ = c.Send(ctx, operator.Turn{Error: operator.Errorf(operator.NotAuthenticated, "the current password is not correct")})
		return
	}
	if f.hello.Factor == operator.FactorReset && !f.askedCode(ctx, c, operator.Turn{Ask: operator.AskEnrolment}) {
		return
	}
	turn := operator.Turn{Ask: operator.AskCode}
	if op == operator.OpEnrol2FA {
		another := f.hello.Factor == operator.FactorEnrolled
		if another && !f.askedCode(ctx, c, turn) {
			return
		}
		turn.Setup = &operator.Setup{Key: "GEZD GNBV", Address: factorAddress, Another: another}
	}
	if f.askedCode(ctx, c, turn) {
		f.shown, f.hello.Factor = true, operator.FactorEnrolled
		_ = c.Send(ctx, operator.Turn{Done: true, Recovery: []string{"abcdef-ghjkmn-pqrstu", "bad\x1b[2J"}})
	}
}

const (
	askedForCode = "Verification code:"
	wrongCode    = "\r\n% Error: the code is not right\r\n" + askedForCode
	recovered    = "Recovery codes: each works once, without the authenticator. They are not shown again.\r\n    abcdef-ghjkmn-pqrstu\r\n    bad\\x1b[2J\r\n"
)

func TestSecondFactorOnATerminal(t *testing.T) {
	type step struct{ typed, shown string }
	tests := []struct {
		name   string
		fake   *fake
		steps  []step
		status int
	}{
		{"a code opens the shell", withFactor(operator.FactorEnrolled), []step{
			{"", askedForCode},
			{"000000\r", wrongCode},
			{"123456\r", "\r\n" + prompt},
			{"show user jdeveloper\r", "Joe Developer"},
			{"exit\r", ""},
		}, 0},
		{"three wrong codes end it", withFactor(operator.FactorEnrolled), []step{
			{"", askedForCode}, {"1\r", wrongCode}, {"2\r", wrongCode}, {"3\r", "\r\n% Error: the code is not right\r\n"},
		}, 7},
		{"ctrl-c ends it", withFactor(operator.FactorEnrolled), []step{{"", askedForCode}, {"12\x03", "\r\nOperation canceled\r\n"}}, 130},
		{"few recovery codes", func() *fake { f := withFactor(operator.FactorEnrolled); f.left = 3; return f }(), []step{
			{"", askedForCode}, {"123456\r", "\r\n3 recovery codes left; 'renew 2fa codes' makes new ones\r\n" + prompt}, {"exit\r", ""},
		}, 0},
		{"one is required soon", requiring(false), []step{
			{"", "A second factor is required of this account from 2026-12-13 12:00 on. Enrol one with 'enrol 2fa'.\r\n" + prompt}, {"exit\r", ""},
		}, 0},
		{"one is required", requiring(true), []step{
			{"", "Enrol one with 'enrol 2fa'.\r\nEnter your current password:"}, {"wrong\r", "% Error: "},
		}, 7},
		{"lost", withLost(operator.FactorEnrolled), []step{
			{"", askCodeOr},
			{"000000\r", "\r\n% Error: the code is not right\r\n" + askCodeOr},
			{"lost\r", "\r\nEnter your current password:"},
			{"old secret\r", "\r\nA code was sent to a…n@example.net. It is valid for ten minutes, also at the prompt for a code of a later login.\r\n" + guide.AskMailed},
			{"00000000\r", "\r\n% Error: the code is not right\r\n" + guide.AskMailed},
			{"1234 5678\r", "type this enrolment code at the prompt for a code: " + rightTicket + "\r\nSetup key: GEZD GNBV\r\n"},
			{"", askedForCode},
			{"123456\r", "\r\nSecond factor enrolled\r\n"},
			{"", prompt},
			{"exit\r", ""},
		}, 0},
		{"lost, and the mail came after the first login", withLost(operator.FactorEnrolled), []step{
			{"", askCodeOr},
			{"12345678\r", "\r\nEnter your current password:"},
			{"old secret\r", "Setup key: GEZD GNBV\r\n"},
			{"", askedForCode},
			{"123456\r", "\r\nSecond factor enrolled\r\n"},
			{"", prompt},
			{"exit\r", ""},
		}, 0},
		{"lost, and cut off after the mailed code", withLost(operator.FactorEnrolled), []step{
			{"", askCodeOr},
			{rightTicket + "\r", "\r\nEnter your current password:"},
			{"old secret\r", "Setup key: GEZD GNBV\r\n"},
			{"", askedForCode},
			{"123456\r", "\r\nSecond factor enrolled\r\n"},
			{"", prompt},
			{"exit\r", ""},
		}, 0},
		{"pending asks for nothing", withFactor(operator.FactorPending), []step{{"", prompt}, {"exit\r", ""}}, 0},
		{"enrol", withFactor(operator.FactorNone), []step{
			{"", prompt},
			{"enrol 2fa\r", "Enter your current password:"},
			{"old secret\r", "\r\nSetup key: GEZD GNBV\r\n\x1b[38;5;16;48;5;231m"},
			{"", "\x1b[0m\r\nAddress:   " + factorAddress + "\r\nAdd this account to your authenticator app, then enter the code that it shows.\r\n" + askedForCode},
			{"1\r", wrongCode},
			{"123456\r", "\r\nSecond factor enrolled\r\n" + recovered + prompt},
			{"show user\r", "Information for user222"},
			{"exit\r", ""},
		}, 0},
		{"enrol, broken off", withFactor(operator.FactorNone), []step{
			{"", prompt}, {"enrol 2fa\r", "password:"}, {"old secret\r", askedForCode}, {"\x03", "\r\nOperation canceled\r\n" + prompt}, {"exit\r", ""},
		}, 130},
		{"enrol with a wrong password", withFactor(operator.FactorNone), []step{
			{"", prompt}, {"enrol 2fa\r", "password:"}, {"x\r", "\r\n% Error: the current password is not correct\r\n" + prompt}, {"exit\r", ""},
		}, 7},
		{"another authenticator", withFactor(operator.FactorEnrolled), []step{
			{"", askedForCode},
			{"123456\r", prompt},
			{"enrol 2fa\r", "Enter your current password:"},
			{"old secret\r", "\r\n" + askedForCode},
			{"1\r", wrongCode},
			{"123456\r", "\r\nThe old authenticator works until this is done.\r\nSetup key: GEZD GNBV\r\n"},
			{"", askedForCode},
			{"123456\r", "\r\nSecond factor enrolled\r\n" + recovered + prompt},
			{"exit\r", ""},
		}, 0},
		{"renew and check", withFactor(operator.FactorEnrolled), []step{
			{"", askedForCode},
			{"123456\r", prompt},
			{"renew 2fa codes\r", "password:"},
			{"old secret\r", "\r\n" + askedForCode},
			{"123456\r", "\r\nRecovery codes renewed; the old ones are void\r\n" + recovered + prompt},
			{"check 2fa\r", askedForCode},
			{"123456\r", "\r\nCode is right, and used up now; 9 recovery codes left\r\n" + prompt},
			{"exit\r", ""},
		}, 0},
		{"set password asks again", withFactor(operator.FactorEnrolled), []step{
			{"", askedForCode},
			{"123456\r", prompt},
			{"set password\r", "password:"},
			{"old secret\r", "\r\n" + askedForCode},
			{"1\r", wrongCode},
			{"123456\r", "\r\nEnter a new password:"},
			{"new\r", "Confirm:"},
			{"new\r", "Password updated successfully"},
		}, 0},
		{"an expired password is changed first", func() *fake { f := withFactor(operator.FactorEnrolled); f.hello.Expired = true; return f }(), []step{
			{"", "login again!\r\n"}, {"", "current password:"}, {"old secret\r", askedForCode}, {"123456\r", "new password:"}, {"\x03", "Operation canceled"},
		}, 130},
		{"after a reset it is enrolled anew", withFactor(operator.FactorReset), []step{
			{"", "Your second factor was reset. Enrol a new one with the enrolment code that you were given.\r\nEnter your current password:"},
			{"old secret\r", "\r\nEnrolment code:"},
			{"x\r", "\r\n% Error: the code is not right\r\nEnrolment code:"},
			{rightTicket + "\r", "\r\nSetup key: "},
			{"", askedForCode},
			{"123456\r", "Second factor enrolled\r\n" + recovered + prompt},
			{"exit\r", ""},
		}, 0},
		{"after a reset nothing else is done", withFactor(operator.FactorReset), []step{{"", "current password:"}, {"\x03", "\r\nOperation canceled\r\n"}}, 130},
		{"reset of another", withFactor(operator.FactorEnrolled), []step{
			{"", askedForCode},
			{"123456\r", prompt},
			{"reset 2fa local admin\r", "Reset the second factor of 'admin', and end its sessions? [y/N]: "},
			{"y\r", askedForCode},
			{"1\r", wrongCode},
			{"123456\r", "\r\nSecond factor of user `admin` reset; enrolment code `" + rightTicket + "`\r\n" + prompt},
			{"reset 2fa force jdeveloper\r", askedForCode},
			{"123456\r", "\r\nUser `jdeveloper` has no second factor: nothing was reset\r\n" + prompt},
			{"reset 2fa admin\r", "[y/N]: "},
			{"n\r", "Operation canceled\r\n" + prompt},
			{"exit\r", ""},
		}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := play(t, begin(t, tt.fake), "xterm-256color")
			for _, s := range tt.steps {
				p.send(s.typed)
				p.expect(s.shown)
			}
			if status, rest := p.wait(); status != tt.status || !p.echoes() {
				t.Errorf("exit status %d, want %d; echo %v; %q", status, tt.status, p.echoes(), rest)
			}
		})
	}
}

// A single command asks for a code when the broker needs one; a script without a terminal cannot.
func TestSecondFactorInScripts(t *testing.T) {
	const command = "PCLI_TEST_COMMAND="
	const answers = "PCLI_TEST_ANSWERS=yes"
	for _, tt := range []struct {
		name, input string
		env         []string
		status      int
		out, errOut string
	}{
		{"nobody to ask", "", []string{command + "lock user admin"}, 2, "", "% Error: there is no terminal to ask on; pcli --stdin takes answers from standard input\n"},
		{"a script without anybody to ask", "lock user admin\n", nil, 2, "", "% Error: there is no terminal to ask on; pcli --stdin takes answers from standard input\n"},
		{"an answer", "123456\n", []string{command + "lock user admin", answers}, 0, "Account 'admin' successfully locked\n", askedForCode},
		{"nothing to ask for", "", []string{command + "clear history", answers}, 0, "History cleared\n", ""},
		{"a script", "123456\nlock user admin\nlock user nobody\n", []string{answers}, 5, "Account 'admin' successfully locked\n", askedForCode + "% Error: there is no account 'nobody'\n"},
		{"wrong codes", "1\n2\n3\nlock user admin\n", []string{answers}, 7, strings.Repeat("% Error: the code is not right\n", 2), strings.Repeat(askedForCode, 3) + "% Error: the code is not right\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, out, errOut := script(t, begin(t, withFactor(operator.FactorEnrolled)), tt.input, tt.env...)
			if status != tt.status || out != tt.out || errOut != tt.errOut {
				t.Errorf("status %d, want %d\nout %q, want\n    %q\nerr %q, want\n    %q", status, tt.status, out, tt.out, errOut, tt.errOut)
			}
		})
	}
}

// A narrow or dumb terminal, and a script, get no QR code.
func TestNoDrawing(t *testing.T) {
	enrolls := func(p *player) {
		p.expect("# ")
		p.send("enrol 2fa\r")
		p.expect("password:")
		p.send("old secret\r")
		if shown := p.expect(askedForCode); strings.ContainsAny(shown, "█▀▄\x1b") || !strings.Contains(shown, "Setup key: GEZD GNBV") {
			t.Errorf("shown %q", shown)
		}
	}
	enrolls(play(t, begin(t, withFactor(operator.FactorNone)), "dumb"))
	status, out, _ := script(t, begin(t, withFactor(operator.FactorNone)), "old secret\n123456\n", "PCLI_TEST_COMMAND=enrol 2fa", "PCLI_TEST_ANSWERS=yes")
	if status != 0 || strings.ContainsAny(out, "█▀▄\x1b") || !strings.Contains(out, factorAddress) {
		t.Errorf("status %d, %q", status, out)
	}
}
