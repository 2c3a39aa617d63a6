package directory

import (
	"bytes"
	"os"
	"slices"
	"strings"
)

// local are the services of nsswitch.conf(5) that are no directories: they read this machine's files, or
// make up accounts of its own processes.
var local = []string{"files", "compat", "db", "systemd", "mymachines", "altfiles", "extrausers", "cache"}

const nsswitchFile = "/etc/nsswitch.conf"

// The databases of nsswitch.conf(5).
const (
	Accounts   = "passwd"
	Groups     = "group"
	initgroups = "initgroups"
)

// Services returns the services that this system asks for a database and that are directories.
func Services(database string) []string {
	text, err := os.ReadFile(nsswitchFile)
	if err != nil {
		return nil
	}
	return services(text, database)
}

func services(text []byte, database string) (found []string) {
	for _, s := range steps(text, database) {
		if !slices.Contains(local, s.service) && !slices.Contains(found, s.service) {
			found = append(found, s.service)
		}
	}
	return found
}

// step is a service that the system asks, and whether the search ends there.
type step struct {
	service                string
	foundEnds, missingEnds bool
}

// steps reads the last line of the database, as glibc does.
func steps(text []byte, database string) (found []step) {
	for line := range bytes.Lines(text) {
		words, _, _ := strings.Cut(string(line), "#")
		if of, rest, is := strings.Cut(words, ":"); is && strings.TrimSpace(of) == database {
			found = stepsOf(rest)
		}
	}
	return found
}

func stepsOf(text string) (found []step) {
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		if text[0] == '[' {
			inside, after, _ := strings.Cut(text[1:], "]")
			if len(found) > 0 {
				found[len(found)-1].follow(inside)
			}
			text = after
			continue
		}
		end := strings.IndexAny(text, " \t[")
		if end < 0 {
			end = len(text)
		}
		found = append(found, step{service: text[:end], foundEnds: true})
		text = text[end:]
	}
	return found
}

// follow takes what nsswitch.conf(5) has in brackets after a service: "NOTFOUND=return", or "!SUCCESS=continue",
// which is of all others. "merge" does not end the search.
func (s *step) follow(actions string) {
	for _, action := range strings.Fields(strings.ToLower(actions)) {
		status, act, _ := strings.Cut(action, "=")
		status, others := strings.CutPrefix(status, "!")
		if (status == "success") != others {
			s.foundEnds = act == "return"
		}
		if (status == "notfound") != others {
			s.missingEnds = act == "return"
		}
	}
}

// groupSteps are the services that are asked for groups. glibc asks the files if nothing is said.
func groupSteps(text []byte) []step {
	if found := steps(text, Groups); len(found) > 0 {
		return found
	}
	return []step{{service: "files"}}
}

// memberSteps are the services that are asked which groups an account is in. Without a line of its own for that,
// glibc adds up what all services for groups have.
func memberSteps(text []byte) []step {
	if found := steps(text, initgroups); len(found) > 0 {
		return found
	}
	found := groupSteps(text)
	for i := range found {
		found[i].foundEnds = false
	}
	return found
}
