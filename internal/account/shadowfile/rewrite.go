package shadowfile

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// maxPassword bounds the password field, in bytes. crypt(3) writes at most
// CRYPT_OUTPUT_SIZE, which is 384.
const maxPassword = 4096

// rewrite returns raw, the line that e was parsed from, with those fields replaced that differ from
// want. All other bytes stay.
func (e entry) rewrite(raw string, want shadowsync.Credential) (string, error) {
	if line, start := readLine(raw); !strings.HasPrefix(raw[start:], line) {
		return "", errors.New("cannot rewrite the line: glibc may misread some of its bytes")
	}
	var b strings.Builder
	done := 0
	put := func(at span, value string) {
		b.WriteString(raw[done:at.from])
		b.WriteString(value)
		done = at.to
	}
	if !shadowsync.SamePassword(want.Password(), e.password) {
		put(e.atPass, want.Password())
	}
	days := daysOf(want)
	for field, day := range days {
		if field == warnDays && e.short {
			break
		}
		if day != e.days[field] {
			put(e.at[field], formatDay(day))
		}
	}
	if e.short && [3]shadowsync.Day(days[warnDays:]) != [3]shadowsync.Day(e.days[warnDays:]) {
		put(span{e.at[maxDays].to, e.end}, fmt.Sprintf(":%s:%s:%s:",
			formatDay(days[warnDays]), formatDay(days[inactiveDays]), formatDay(days[expireDay])))
	}
	b.WriteString(raw[done:])
	return b.String(), readsBack(b.String(), e.name, want)
}

// readsBack makes sure that the result is one line and parses as what was wanted.
func readsBack(raw, name string, want shadowsync.Credential) error {
	got, ok := parseEntry(readLine(raw))
	if strings.Contains(strings.TrimSuffix(raw, "\n"), "\n") || !ok || got.name != name || got.credential() != want {
		return errors.New("cannot rewrite the line: it would not read back as what was wanted")
	}
	return nil
}

// daysOf returns the numeric fields of a credential. A last-change day of 0 is written only for
// MustChange.
func daysOf(c shadowsync.Credential) [dayFields]shadowsync.Day {
	changed := c.LastChange
	if c.MustChange {
		changed = 0
	}
	return [dayFields]shadowsync.Day{changed, c.Min, c.Max, c.Warn, c.Inactive, c.Expire}
}

func formatDay(d shadowsync.Day) string {
	if d == shadowsync.NoDay {
		return ""
	}
	return strconv.Itoa(int(d))
}

// check refuses a write whose new values cannot be a line of shadow(5). Values that do not change
// are not checked, since they are not written.
func check(w shadowsync.Write) error {
	err := errors.Join(checkPassword(w), checkDays(w))
	if err != nil {
		return fmt.Errorf("cannot write the line of %q: %w", w.Name, err)
	}
	return nil
}

func checkPassword(w shadowsync.Write) error {
	field := w.Want.Password()
	if w.Create {
		return errors.New("accounts are not created here")
	}
	if field == w.Expect.Password() {
		return nil
	}
	if len(field) > maxPassword {
		return fmt.Errorf("the password field has %d bytes, more than %d", len(field), maxPassword)
	}
	if i := strings.IndexFunc(field, func(r rune) bool { return r < ' ' || r == ':' || r == 0x7f }); i >= 0 {
		return fmt.Errorf("the password field has the character %q", field[i])
	}
	if hash, locked := shadowsync.ParsePassword(field); hash != w.Want.Hash || locked != w.Want.Locked {
		return errors.New("the hash begins with the lock mark")
	}
	return nil
}

func checkDays(w shadowsync.Write) error {
	if w.Want.MustChange && w.Want.LastChange != shadowsync.NoDay {
		return errors.New("shadow(5) has one field for must-change and the last-change day")
	}
	if !w.Want.MustChange && w.Want.LastChange == 0 {
		return errors.New("a last-change day of 0 would force a password change")
	}
	expect := daysOf(w.Expect)
	for field, day := range daysOf(w.Want) {
		if day != expect[field] && (day < shadowsync.NoDay || day > math.MaxInt32) {
			return fmt.Errorf("the day %d is not one that shadow(5) can hold", day)
		}
	}
	return nil
}
