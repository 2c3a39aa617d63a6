package scenes

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/password/crypt"
	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// oddLines is content that shadow-utils and people leave in shadow files. before has no line of
// admin or user222 that getspnam(3) would find first.
var oddLines = map[string]struct{ before, after string }{
	"malformed lines": {"# a comment\n\nnocolons\n:::::::::\ntoo:few\ntoo:many:1:2:3:4:5:6:7:8:9\n", " admin:x:1:0:99999:7:::\nday:x:abc:-5:99999999999999999999:7:::\nadminx:$6$a$b:1::::::\n"},
	"duplicate names": {"twin:!:1:0:99999:7:::\ntwin:*:2:0:99999:7:::\n", "admin:second:1:0:99999:7:::\nadmin::::::::\n"},
	"NIS lines":       {"-@outcasts:::::::::\n+@netgroup::::::::\n", "+admin::::::::\n+::::::::\n+\n"},
	"no final newline": {
		"", "last:*:20000:0:99999:7:::",
	},
	"not UTF-8":        {"b\xfcro:*:1:0:99999:7:::\n\xff\xfe\x01\x02\x1b[31m:*:1:::::x:\n", "crlf:*:1:0:99999:7:::\r\nz\x7f\xc3:!:::::::\n"},
	"a very long line": {"long:" + strings.Repeat("x", 200_000) + ":1:0:99999:7:::\n", ""},
}

// TestOddLines: our writes keep lines that they do not understand, byte for byte.
func TestOddLines(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{})
	for name, odd := range oddLines {
		t.Run(name, func(t *testing.T) { (&stage{T: s.T, t: t}).carries(name, odd.before, odd.after, 2*time.Second) })
	}
	t.Run("100,000 lines", func(t *testing.T) {
		var before, after strings.Builder
		for i := range 50_000 {
			fmt.Fprintf(&before, "before%d:$6$salt$%086d:20000:0:99999:7:::\n", i, i)
			fmt.Fprintf(&after, "after%d:*:20000:0:99999:7:::\n", i)
		}
		(&stage{T: s.T, t: t}).carries("100,000", before.String(), after.String(), 5*time.Second)
	})
}

// carries puts these bytes around the lines of the machine's own accounts, and then changes
// admin's password with the tool and in the application.
func (s *stage) carries(name, before, after string, within time.Duration) {
	s.t.Helper()
	whole := s.ReadFile("/etc/shadow")
	s.replaceShadow(before + whole + after)
	defer func() { s.replaceShadow(s.lineOf("admin", whole, s.adminLine(before))) }()

	password := "Odd-" + strings.ReplaceAll(name, " ", "-") + "-velvet"
	began := time.Now()
	s.Input(password+"\n").Must("shadowsync", "user", "set", "password", "admin", "--stdin")
	if took := time.Since(began); took > within+slack {
		s.t.Errorf("set password took %v", took)
	}
	if ok, err := crypt.Verify(strings.Split(s.adminLine(before), ":")[1], []byte(password)); err != nil || !ok {
		s.t.Errorf("the password is not set: %v", err)
	}
	if got, want := s.ReadFile("/etc/shadow"), before+s.lineOf("admin", whole, s.adminLine(before))+after; got != want {
		s.t.Errorf("set password altered more than its line: %s", firstDifference(got, want))
	}
	began = time.Now()
	hash := sha512crypt(s.t, password+"2")
	s.AskAppliance("set", "admin", hash)
	s.eventually("the application's password is applied", machine.Patience, func() bool { return strings.Contains(s.adminLine(before), hash) })
	s.t.Logf("applied after %v", time.Since(began))
	if got, want := s.ReadFile("/etc/shadow"), before+s.lineOf("admin", whole, s.adminLine(before))+after; got != want {
		s.t.Errorf("an apply altered more than its line: %s", firstDifference(got, want))
	}
}

// replaceShadow replaces the shadow file by rename, as every tool does.
func (s *stage) replaceShadow(text string) {
	s.t.Helper()
	s.WriteFile("/etc/shadow.scene", text, 0o640)
	s.MustShell("chgrp shadow /etc/shadow.scene && mv /etc/shadow.scene /etc/shadow")
}

// adminLine returns admin's first line after the bytes before.
func (s *stage) adminLine(before string) string {
	s.t.Helper()
	shadow := s.ReadFile("/etc/shadow")
	text, intact := strings.CutPrefix(shadow, before)
	if !intact {
		s.t.Fatalf("the bytes before the machine's own lines changed: %s", firstDifference(shadow, before))
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "admin:") {
			return line
		}
	}
	s.t.Fatal("no line of admin")
	return ""
}

// lineOf returns the text with the account's first line replaced.
func (s *stage) lineOf(account, text, line string) string {
	var out strings.Builder
	done := false
	for l := range strings.Lines(text) {
		if !done && strings.HasPrefix(l, account+":") {
			l, done = line, true
		}
		out.WriteString(l)
	}
	return out.String()
}

func firstDifference(got, want string) string {
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	return fmt.Sprintf("at byte %d of %d: %.80q, want %.80q", i, len(want), got[i:], want[i:])
}
