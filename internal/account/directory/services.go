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

// nsswitchFile and programs are variables for tests.
var nsswitchFile, programs = "/etc/nsswitch.conf", "/usr/bin/"

// The databases of nsswitch.conf(5).
const (
	Accounts = "passwd"
	Groups   = "group"
)

// Services returns the services that this system asks for a database and that are directories.
func Services(database string) []string {
	text, err := os.ReadFile(nsswitchFile)
	if err != nil {
		return nil
	}
	return services(text, database)
}

// services reads the last line of the database, as glibc does.
func services(text []byte, database string) (found []string) {
	for line := range bytes.Lines(text) {
		words, _, _ := strings.Cut(string(line), "#")
		of, rest, is := strings.Cut(words, ":")
		if !is || strings.TrimSpace(of) != database {
			continue
		}
		found = nil
		for _, word := range strings.Fields(unbracketed(rest)) {
			if !slices.Contains(local, word) && !slices.Contains(found, word) {
				found = append(found, word)
			}
		}
	}
	return found
}

// unbracketed leaves out the actions: [NOTFOUND=return].
func unbracketed(text string) string {
	for {
		before, rest, opens := strings.Cut(text, "[")
		if !opens {
			return text
		}
		_, after, _ := strings.Cut(rest, "]")
		text = before + " " + after
	}
}
