package shadowfile

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// BadLines finds those of the named accounts whose only line in shadow(5) glibc does not accept,
// and returns the line's number. To every program such an account has no password. A tool that adds
// a line for it, like pwconv(8), makes that loss permanent.
func (f *File) BadLines(ctx context.Context, names []string) (map[string]int, error) {
	bad := map[string]int{}
	err := f.withShadow(ctx, func(t *tree, file *os.File) error {
		known, err := readUsers(t, pick(names))
		if err != nil {
			return err
		}
		m, number := newMatcher(known), 0
		err = eachLine(file, func(raw []byte) {
			number++
			if m.mayMatch(raw) {
				m.noteBad(string(raw), number, bad)
			}
		})
		for i, user := range known.list {
			if m.seen[i] {
				delete(bad, user.name)
			}
		}
		return err
	})
	return bad, err
}

// noteBad records the first unreadable line of a user.
func (m *matcher) noteBad(raw string, number int, bad map[string]int) {
	if user, _, ok := m.match(raw); user != nil && !ok && bad[user.name] == 0 {
		bad[user.name] = number
		return
	}
	// A line that ends within the name, or has no colon, still names an account.
	text, _ := readLine(raw)
	if name := strings.TrimSpace(text); m.known.find(name) >= 0 && bad[name] == 0 && !strings.Contains(text, ":") {
		bad[name] = number
	}
}

// PwconvHarm returns what pwconv(8) would do besides moving passwords out of passwd(5); "":
// nothing. It removes lines of shadow(5) whose account is not in passwd(5), and where passwd(5) has
// "x" but shadow(5) has no readable line, it adds one with "x" as the password.
func (f *File) PwconvHarm(ctx context.Context) (harm string, err error) {
	err = f.withShadow(ctx, func(t *tree, file *os.File) error {
		known, err := readUsers(t, nil)
		if err != nil {
			return err
		}
		readable, number := make([]bool, len(known.list)), 0
		err = eachLine(file, func(raw []byte) {
			number++
			text, start := readLine(string(raw))
			if text == "" || harm != "" {
				return
			}
			e, ok := parseEntry(text, start)
			i := known.find(e.name)
			switch {
			case !ok:
				harm = fmt.Sprintf("line %d of /etc/shadow cannot be read", number)
			case i >= 0:
				readable[i] = true
			case isAccountName(e.name):
				harm = fmt.Sprintf("line %d of /etc/shadow is of %s, who is not in /etc/passwd", number, e.name)
			}
		})
		for i, user := range known.list {
			if harm == "" && user.shadowed && !readable[i] {
				harm = user.name + " has no line in /etc/shadow"
			}
		}
		return err
	})
	return harm, err
}

// BadLineError: the account's line in shadow(5) cannot be read.
type BadLineError struct {
	Account string
	Line    int
}

func (e *BadLineError) Error() string {
	return fmt.Sprintf("line %d of /etc/shadow, of %s, cannot be read", e.Line, e.Account)
}
func (e *BadLineError) Unwrap() error { return shadowsync.ErrNoAccount }
