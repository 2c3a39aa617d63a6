package pamstack

import (
	"errors"
	"path"
	"slices"
	"strings"
)

// The lines of a service that asks for second factors. The first auth line jumps over the substack.
const (
	keyLine     = "auth [success=1 default=ignore] " + Module + " factor key"
	subLine     = "auth substack common-auth"
	askLine     = "auth required " + Module + " factor"
	accountLine = "account required " + Module + " factor"
	rootJump    = " [success=1 default=ignore] pam_succeed_if.so quiet uid = 0"
)

// IncludeAuth is the line that most of Debian's services have, and that gives way to ours: in what it includes,
// any sufficient line would end the stack before ours. What ends a substack ends only that. Debian's cockpit has a
// substack of its own, which stays.
const IncludeAuth = "@include common-auth\n"

// accountLines are how Debian's services include common-account.
var accountLines = []string{"@include common-account", "account include common-account"}

// Consoles are the services in which root must get in whatever is broken, even the module itself.
var consoles = []string{"login"}

// Ask returns the text of a service's own file with our lines in it, and its line for common-auth, which may have given
// way to ours. Every other byte is kept. The text must have none of our lines: see Unask.
func Ask(service, text string) (asking, replaced string, err error) {
	account := accountLine + "\n"
	if slices.Contains(consoles, service) {
		account = "account" + rootJump + "\n" + account
	}
	accounts := 0
	for line := range strings.Lines(text) {
		switch {
		case says(line, strings.TrimSpace(IncludeAuth)), says(line, subLine):
			if replaced != "" {
				return "", "", errors.New("it includes common-auth twice")
			}
			replaced = line
			asking += around(service, line)
			continue
		case slices.ContainsFunc(accountLines, func(words string) bool { return says(line, words) }):
			if accounts++; accounts == 1 {
				asking += account
			}
		}
		asking += line
	}
	if replaced == "" || accounts == 0 {
		return "", "", errors.New("it does not include common-auth and common-account as Debian's services do")
	}
	return asking, replaced, nil
}

// around returns our auth lines around the substack. It ends as the line does that the file has for common-auth: the last
// line of a file may have no newline.
func around(service, line string) string {
	text, newline := strings.CutSuffix(line, "\n")
	lines := []string{keyLine, subLine, askLine}
	if says(line, subLine) {
		lines[1] = text
	}
	if slices.Contains(consoles, service) {
		lines = slices.Insert(lines, 2, "auth"+rootJump)
	}
	if text = strings.Join(lines, "\n"); newline {
		text += "\n"
	}
	return text
}

// Asks reports whether the text of a service's own file has lines of ours.
func Asks(text string) bool {
	for line := range strings.Lines(text) {
		if ours(line) {
			return true
		}
	}
	return false
}

// Unask takes our lines out of the text of a service's own file, also damaged ones, and puts the line back
// that they replaced. A substack that we would spell otherwise was there before ours. Every other byte is kept.
func Unask(text, replaced string) string {
	lines := slices.Collect(strings.Lines(text))
	at, included := -1, false // where the line goes, as an index of lines
	for i, line := range lines {
		switch {
		case says(line, subLine):
			at = i
		case at < 0 && oursOf(line, Auth) && !oursOf(line, Auth, "key"):
			at = i
		}
		included = included || says(line, strings.TrimSpace(IncludeAuth))
	}
	plain := ""
	for i, line := range lines {
		jump := says(line, "auth"+rootJump) || says(line, "account"+rootJump)
		beside := i+1 < len(lines) && ours(lines[i+1]) || i > 0 && says(lines[i-1], subLine)
		switch {
		case i == at && says(line, subLine) && strings.TrimSuffix(line, "\n") != subLine:
			plain += line
		case i == at && !included:
			plain += replaced
		case i == at, ours(line), jump && beside:
		default:
			plain += line
		}
	}
	return plain
}

// says reports whether a line has these words, whatever blanks and comment it has besides.
func says(line, words string) bool {
	line, _, _ = strings.Cut(line, "#")
	return slices.Equal(strings.Fields(line), strings.Fields(words))
}

func ours(line string) bool { return oursOf(line, Auth) || oursOf(line, Account) }

// oursOf reports whether a line is one of this kind for second factors, whatever its control, and has these
// arguments.
func oursOf(line string, kind Kind, args ...string) bool {
	line, _, _ = strings.Cut(strings.TrimSpace(line), "#")
	words := fields(line)
	if len(words) < 4 || strings.TrimPrefix(strings.ToLower(words[0]), "-") != string(kind) || path.Base(words[2]) != Module {
		return false
	}
	for _, arg := range append(args, "factor") {
		if !slices.Contains(words[3:], arg) {
			return false
		}
	}
	return true
}
