package scenes

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// toolLines are, by format, lines of the account "tool$i", as a shell reads them in double quotes.
var toolLines = map[string]string{
	"htpasswd":   `tool$i:x`,
	"dovecot":    `tool$i:{PLAIN}secret:::::`,
	"freeradius": `tool$i Cleartext-Password := secret`,
	"mosquitto":  `tool$i:\$7\$101\$c2FsdHNhbHRzYWx0\$aGFzaA==`,
	"pgbouncer":  `\"tool$i\" \"md500112233445566778899aabbccddeeff\"`,
}

// besideIt are, by format, programs that write the account into the file $FILE, without a lock. An administrator appends what
// doveadm made, and edits the file: sed -i~ does what an editor with backups does, and gives the file another name and its
// name to a new one. Other editors empty the file and write it anew.
var besideIt = map[string]string{
	"htpasswd":   "htpasswd -b $FILE tool$i secret",
	"dovecot":    `{ [ $((i % 2)) = 0 ] && sed -i~ "\$a ` + toolLines["dovecot"] + `" $FILE || echo "tool$i:$(doveadm pw -s SHA512-CRYPT -p secret):::::" >>$FILE; }`,
	"freeradius": edited("freeradius"),
	"mosquitto":  "mosquitto_passwd -b $FILE tool$i secret",
	"pgbouncer":  edited("pgbouncer"),
}

func edited(format string) string {
	return `if [ $((i % 2)) = 0 ]; then sed -i "\$a ` + toolLines[format] + `" $FILE; else cp $FILE /root/edited && ` + writtenAnew(format, "/root/edited") + `; fi`
}

// writtenAnew is a script that writes what an editor holds, and a new line, into the file in place.
func writtenAnew(format, held string) string {
	return `echo "` + toolLines[format] + `" >>` + held + ` && cat ` + held + ` >$FILE`
}

// TestPasswordFileBesideItsTool: the server's own tool, or an administrator's, writes its accounts in a loop. What
// root sets is there in the end, and so is each account of the tool, and everything else as it was.
func TestPasswordFileBesideItsTool(t *testing.T) {
	t.Parallel()
	files := slices.Clone(passwordFiles)
	files[0].after = "\n" // htpasswd appends to an unfinished line
	s := serve(t, files)
	for _, f := range files {
		s.sub(f.format, func(s *stage) {
			s.sub("at the same time", f.besideItsTool)
			s.sub("an editor that was opened before", f.besideAnEditor)
		})
	}
}

const besides = 20 // accounts that a tool writes

func (f passwordFile) besideItsTool(s *stage) {
	// The tool comes first: what it writes later than 50 ms after it opened the file may be lost (docs/limits.md).
	loop := s.Start("nice", "-n", "-20", "sh", "-c", fmt.Sprintf("FILE=%s; for i in $(seq %d); do %s || exit 1; sleep 0.1; done", f.path, besides, besideIt[f.format]))
	last := ""
	for n := range 5 {
		last = fmt.Sprintf("Beside-the-tool-%d", n)
		s.passwd(f.account, last)
	}
	s.WaitFor("the tool to end", machine.Patience, func() bool {
		select {
		case <-loop.Done():
			return true
		default:
			return false
		}
	})
	if loop.Code() != 0 {
		s.t.Errorf("the tool: %s", loop.Output())
	}
	f.inSync(s)
	if f.reload {
		s.Must("systemctl", "reload", f.unit)
	}
	f.serves(s, last, formerPassword)
	f.hasTools(s, besides)
	s.Must("systemctl", "restart", f.unit)
	f.serves(s, last, formerPassword)
}

// besideAnEditor: an editor that was opened before root sets the password writes what it holds, and a new line. The new
// line stays, and so does the password.
func (f passwordFile) besideAnEditor(s *stage) {
	s.MustShell("cp " + f.path + " /root/held")
	s.passwd(f.account, "Beside-an-editor-1")
	f.inSync(s)
	s.Env("FILE=" + f.path).MustShell(fmt.Sprintf("i=%d; ", besides+1) + writtenAnew(f.format, "/root/held"))
	f.serves(s, "Beside-an-editor-1", formerPassword)
	f.inSync(s)
	f.hasTools(s, besides+1)
}

// hasTools asserts that the file is as it was but for the account's value, with the accounts of the tool after that, in the
// order in which they were added.
func (f passwordFile) hasTools(s *stage, number int) {
	s.t.Helper()
	text := s.ReadFile(f.path)
	value, tools, found := strings.Cut(strings.TrimPrefix(text, f.before), f.after)
	if !strings.HasPrefix(text, f.before) || !found || strings.Contains(value, "\n") || strings.Count(tools, "\n") != number {
		s.t.Errorf("the file is\n%s", text)
	}
	n := 0
	for line := range strings.Lines(tools) {
		n++
		if name := fmt.Sprintf("tool%d", n); !strings.HasPrefix(strings.TrimLeft(line, `"`), name) {
			s.t.Errorf("in the place of %s is %s", name, line)
		}
	}
}
