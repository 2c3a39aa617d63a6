package grammar

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/shadowsync/shadowsync/internal/term/printable"
)

// toy contains one of each kind.
func toy() *Set {
	name := Param{Name: "NAME", Kind: Account, Required: true, Help: "the account"}
	return New([]Command{
		{Words: "show user", Help: "Show", Params: []Param{
			{Name: "NAME", Kind: Account, Group: "who", Help: "one"}, {Word: "all", Group: "who", Help: "each"},
		}, See: []string{"delete user", "secret thing"}},
		{Words: "show user activity", Help: "Activity", Params: []Param{
			{Word: "from", Name: "T", Help: "begin"}, {Word: "rows", Name: "N", Kind: Number, Help: "how many"}, {Name: "NAME", Kind: Account, Help: "whose"},
		}},
		{Words: "delete user", Help: "Delete", Needs: "delete", Params: []Param{{Word: "force", Help: "do not ask"}, name}},
		{Words: "secret thing", Help: "Secret", Needs: "secret"},
		{Words: "role", Help: "Role", Params: []Param{{Name: "VALUE", Kind: Choice, Choices: []string{"user", "admin"}, Required: true, Help: "what"}}},
		{Words: "full-name", Help: "Name", Params: []Param{{Name: "VALUE", Kind: Rest, Required: true, Help: "who"}}},
		{Words: "exit", Help: "Leave"},
	}, map[string]string{"show": "Show things", "delete": "Delete things"})
}

func operators() *Set { return toy().For(func(need string) bool { return need == "delete" }) }

func TestParse(t *testing.T) {
	tests := []struct {
		line, words, values string // values as fmt prints a map
	}{
		{"exit", "exit", "map[]"},
		{"  exit\t ", "exit", "map[]"},
		{"show user", "show user", "map[]"},
		{"show user admin", "show user", "map[NAME:admin]"},
		{"show user all", "show user", "map[all:all]"},
		{`show user "all"`, "show user", "map[NAME:all]"},
		{"show user 'activity'", "show user", "map[NAME:activity]"},
		{`show user \activity`, "show user", "map[NAME:activity]"},
		{"show user activity", "show user activity", "map[]"},
		{"show user activity from 1d rows 5 admin", "show user activity", "map[NAME:admin from:1d rows:5]"},
		{"show user activity admin rows 5 from rows", "show user activity", "map[NAME:admin from:rows rows:5]"},
		{"delete user force admin", "delete user", "map[NAME:admin force:force]"},
		{"delete user admin force", "delete user", "map[NAME:admin force:force]"},
		{"delete user 'force'", "delete user", "map[NAME:force]"},
		{"role admin", "role", "map[VALUE:admin]"},
		{`full-name Joe  "D. 'x'" \"Y\"`, "full-name", `map[VALUE:Joe D. 'x' "Y"]`},
		{"full-name Jürgen", "full-name", "map[VALUE:Jürgen]"},
		{"full-name ''", "full-name", "map[VALUE:]"},
	}
	for _, tt := range tests {
		t.Run(tt.line, func(t *testing.T) {
			call, ok, err := operators().Parse(tt.line)
			if err != nil || !ok || call.Words != tt.words || fmt.Sprint(call.values) != tt.values {
				t.Errorf("%v %+v %v", ok, call, err)
			}
			if got := toy().commands[call.Command].Words; got != tt.words {
				t.Errorf("its index is that of %q", got)
			}
		})
	}
}

func TestParseNothing(t *testing.T) {
	for _, line := range []string{"", "  ", "\t"} {
		if _, ok, err := toy().Parse(line); ok || err != nil {
			t.Errorf("%q: %v, %v", line, ok, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	tests := []struct{ line, want string }{
		{"bad", "Command 'bad' not found (use '?' for help)"},
		{"show bad", "Command 'show bad' not found (use '?' for help); did you mean 'show user'?"},
		{"'exit'", "Command 'exit' not found (use '?' for help)"},
		{"Exit", "Command 'Exit' not found (use '?' for help); did you mean 'exit'?"},
		{"secret thing", "Command 'secret' not found (use '?' for help)"},
		{"secrets thing", "Command 'secrets' not found (use '?' for help)"},
		{"show", "Command 'show' is incomplete (use '?' for help)"},
		{"delete user", "NAME is missing; usage: delete user [force] NAME"},
		{"delete user force", "NAME is missing; usage: delete user [force] NAME"},
		{"delete user a b", "'b' is not expected; usage: delete user [force] NAME"},
		{"delete user ''", "the account name is empty; usage: delete user [force] NAME"},
		{"show user all admin", "'admin' is not expected; usage: show user [NAME|all]"},
		{"show user admin all", "'all' is not expected; usage: show user [NAME|all]"},
		{"show user activity rows", "N of 'rows' is missing; usage: show user activity [from T] [rows N] [NAME]"},
		{"show user activity rows 0", "'0' is not a number; usage: show user activity [from T] [rows N] [NAME]"},
		{"show user activity rows 9999999999999999999", "'9999999999999999999' is not a number; usage: show user activity [from T] [rows N] [NAME]"},
		{"role root", "'root' is not one of user, admin; usage: role user|admin"},
		{"exit now", "'now' is not expected; usage: exit"},
		{"show user 'open", ErrOpenQuote.Error()},
		{"exit\x00", ErrNotText.Error()},
		{"exit \xff", ErrNotText.Error()},
		{"exit \x1b[31m", ErrNotText.Error()},
		{"exit\nexit", ErrNotText.Error()},
		{strings.Repeat("x", MaxLine+1), ErrTooLong.Error()},
	}
	for _, tt := range tests {
		t.Run(tt.line[:min(len(tt.line), 40)], func(t *testing.T) {
			_, ok, err := operators().Parse(tt.line)
			if ok || err == nil || err.Error() != tt.want {
				t.Errorf("%v, %v", ok, err)
			}
		})
	}
}

func names() []string {
	return []string{"admin", "adam", "jürgen", "jülich", "x\x1b[31my", "two words", "all", "zoe"}
}

func TestComplete(t *testing.T) {
	tests := []struct {
		line string // | is the cursor
		want string
		list string
	}{
		{"sh|", "show |", ""},
		{"show|", "show |", ""},
		{"show |", "show user |", ""},
		{"|", "|", "delete exit full-name role show"},
		{"sh| user", "show |user", ""},
		{"show u| x", "show user |x", ""},
		{"sec|", "sec|", ""},
		{"show user |", "show user |", "activity adam admin all jülich jürgen zoe"},
		{"show user ad|", "show user ad|", "adam admin"},
		{"show user adm|", "show user admin |", ""},
		{"show user j|", "show user jü|", ""},
		{"show user z|", "show user zoe |", ""},
		{"show user x|", "show user x|", ""},
		{"show user two|", "show user two|", ""},
		{"show user activity r|", "show user activity rows |", ""},
		{"show user activity rows |", "show user activity rows |", ""},
		{"show user activity rows 5 f|", "show user activity rows 5 from |", ""},
		{"show user activity from 1d f|", "show user activity from 1d f|", ""},
		{"delete user f|", "delete user force |", ""},
		{"delete user force adm|", "delete user force admin |", ""},
		{"delete user admin |", "delete user admin force |", ""},
		{"role a|", "role admin |", ""},
		{"bad |", "bad |", ""},
		{"show user 'ad|", "show user 'ad|", ""},
		{"show user \xff|", "show user \xff|", ""},
	}
	for _, tt := range tests {
		t.Run(tt.line, func(t *testing.T) {
			before, after, _ := strings.Cut(tt.line, "|")
			line, pos, list := operators().Complete(before+after, len(before), names)
			if got := line[:pos] + "|" + line[pos:]; got != tt.want || strings.Join(list, " ") != tt.list {
				t.Errorf("%q, %q", got, list)
			}
		})
	}
}

// Account names are requested only where one may come, because that costs the broker work.
func TestCompleteAsksForNamesWhereNeeded(t *testing.T) {
	for _, line := range []string{"", "sh", "show ", "role ", "show user activity rows "} {
		operators().Complete(line, len(line), func() []string { t.Errorf("asked at %q", line); return nil })
	}
}

func TestHelp(t *testing.T) {
	tests := []struct{ line, want string }{
		{"", "  show       Show things\n  delete     Delete things\n  role       Role\n  full-name  Name\n  exit       Leave\n"},
		{"sh", "  show  Show things\n"},
		{"show", "  user  Show\n"},
		{"show ", "  user  Show\n"},
		{"show x", "Nothing begins with 'x' here\n"},
		{"bad ", "There is no help here: the words before this are not understood\n"},
		{"delete user", "usage: delete user [force] NAME\n\nDelete.\n\nkeyword arguments:\n  force  do not ask\n\npositional arguments:\n  NAME  the account\n"},
		{"show user ad", "  adam\n  admin\n"},
		{"show user q", "  NAME  one\n"},
		{"show user activity rows ", "  N  how many\n"},
	}
	for _, tt := range tests {
		t.Run(tt.line, func(t *testing.T) {
			got, ok := operators().Help(tt.line, names)
			if !ok || !strings.HasSuffix(got, tt.want) {
				t.Errorf("%v:\n%s", ok, got)
			}
		})
	}
	if _, ok := operators().Help("full-name 'what", names); ok {
		t.Error("? in a quote is taken for help")
	}
}

// A command that a role may not run appears nowhere.
func TestHidden(t *testing.T) {
	s := operators()
	for _, line := range []string{"", "s", "se", "secret", "secret ", "show user "} {
		help, _ := s.Help(line, names)
		_, _, list := s.Complete(line, len(line), names)
		if all := help + strings.Join(list, " "); strings.Contains(strings.ReplaceAll(all, "'"+strings.TrimSpace(line)+"'", ""), "ecret") {
			t.Errorf("at %q: %s", line, all)
		}
	}
	if _, err := s.Describe("secret thing"); err == nil {
		t.Error("it is described")
	}
	var notFound *NotFoundError
	_, _, err := s.Parse("secret thing")
	if !errors.As(err, &notFound) {
		t.Errorf("%v", err)
	}
}

func TestMan(t *testing.T) {
	page := toy().Man()
	for _, want := range []string{".B delete user [force] NAME\n", ".B full\\-name VALUE\n", ".I rows N\n"} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is missing in\n%s", want, page)
		}
	}
}

// FuzzLine checks the package's promises for all functions and any line.
func FuzzLine(f *testing.F) {
	for _, s := range []string{"show user activity from 1d rows 5 a", `full-name "x`, "delete user 'f", "\x00\xff", `a\`, "show  user", "ä'ü\"€"} {
		f.Add(s, len(s))
	}
	f.Fuzz(func(t *testing.T, line string, pos int) {
		s := operators()
		call, ok, err := s.Parse(line)
		if err != nil {
			harmless(t, line, err.Error())
		} else if ok {
			if got := s.find(call.Words); got < 0 {
				t.Errorf("%q gives a call of %q", line, call.Words)
			}
			for _, v := range call.values {
				harmless(t, line, v)
			}
		}
		pos = max(0, min(pos, len(line)))
		newLine, newPos, list := s.Complete(line, pos, names)
		if newPos < 0 || newPos > len(newLine) || !strings.HasPrefix(newLine, line[:pos]) {
			t.Fatalf("%q at %d completes to %q at %d", line, pos, newLine, newPos)
		}
		harmless(t, line, strings.Join(list, " "))
		help, _ := s.Help(line[:pos], names)
		harmless(t, line, strings.ReplaceAll(help, "\n", " "))
	})
}

func harmless(t *testing.T, line, text string) {
	t.Helper()
	if flat := strings.ReplaceAll(text, "\t", " "); !utf8.ValidString(flat) || printable.Quote(flat) != flat {
		t.Errorf("%q gives %q", line, text)
	}
}
