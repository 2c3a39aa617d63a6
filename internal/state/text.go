package state

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// timeLayout is RFC 3339 in UTC with all nine digits, so that texts sort as times do.
const timeLayout = "2006-01-02T15:04:05.000000000Z"

// timeText formats a time; the zero time is empty.
func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(timeLayout)
}

func parseTime(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(timeLayout, text)
	if err != nil {
		return time.Time{}, malformed("time", text)
	}
	return t, nil
}

// credentialText formats a credential much as a line of shadow(5):
//
//	last change:min:max:warn:inactive:expire:flags:hash
//
// An empty day is NoDay; the flags are "L" for the lock mark and "M" for
// must-change. The hash is last, so that it may contain anything. Unlike a line
// of shadow(5) this form holds every value of Credential.
func credentialText(c shadowsync.Credential) string {
	b := make([]byte, 0, 48+len(c.Hash))
	for _, d := range days(&c) {
		if *d != shadowsync.NoDay {
			b = strconv.AppendInt(b, int64(*d), 10)
		}
		b = append(b, ':')
	}
	if c.Locked {
		b = append(b, 'L')
	}
	if c.MustChange {
		b = append(b, 'M')
	}
	b = append(b, ':')
	return string(append(b, c.Hash...))
}

func days(c *shadowsync.Credential) [6]*shadowsync.Day {
	return [6]*shadowsync.Day{&c.LastChange, &c.Min, &c.Max, &c.Warn, &c.Inactive, &c.Expire}
}

func parseCredential(text string) (c shadowsync.Credential, err error) {
	rest := text
	for _, d := range days(&c) {
		var field string
		var ok bool
		if field, rest, ok = strings.Cut(rest, ":"); !ok {
			return c, malformedCredential()
		}
		*d = shadowsync.NoDay
		if field == "" {
			continue
		}
		n, err := strconv.Atoi(field)
		if err != nil {
			return c, malformedCredential()
		}
		*d = shadowsync.Day(n)
	}
	flags, hash, ok := strings.Cut(rest, ":")
	if !ok || strings.Trim(flags, "LM") != "" {
		return c, malformedCredential()
	}
	c.Hash, c.Locked, c.MustChange = hash, strings.Contains(flags, "L"), strings.Contains(flags, "M")
	if c.Locked { // older versions stripped only one mark: "!!hash" is a lock of that hash
		c.Hash, _ = shadowsync.ParsePassword(hash)
	}
	return c, nil
}

// pair parses the two credentials of a baseline.
func pair(os, store string) (b shadowsync.Baseline, err error) {
	if b.OS, err = parseCredential(os); err != nil {
		return b, err
	}
	b.Store, err = parseCredential(store)
	return b, err
}

// malformedCredential does not show the text: it may hold a hash.
func malformedCredential() error {
	return fmt.Errorf("%w: a credential is not in its form", shadowsync.ErrMalformed)
}

func malformed(what, text string) error {
	return fmt.Errorf("%w: %s %q", shadowsync.ErrMalformed, what, text)
}

// jsonText is the canonical JSON of v: fields in the order of the struct, in ASCII, so that the
// file holds no control or bidi character of foreign text and sqlite3(1) can show it. Bytes that
// are not UTF-8 become U+FFFD.
func jsonText(v any) (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("cannot encode %T: %w", v, err)
	}
	ascii := make([]byte, 0, len(text))
	for _, r := range string(text) {
		switch {
		case r < 0x7f:
			ascii = append(ascii, byte(r))
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			ascii = fmt.Appendf(ascii, `\u%04x\u%04x`, high, low)
		default:
			ascii = fmt.Appendf(ascii, `\u%04x`, r)
		}
	}
	return string(ascii), nil
}

func parseJSON(text string, into any) error {
	if err := json.Unmarshal([]byte(text), into); err != nil {
		return fmt.Errorf("%w: %w", shadowsync.ErrMalformed, err)
	}
	return nil
}

func originText(o shadowsync.Origin) (string, error) {
	o.At = o.At.UTC()
	return jsonText(o)
}
