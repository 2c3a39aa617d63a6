package scenes

import (
	"fmt"
	"strings"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// selects: names, states and --problems select the accounts that are shown. The account is in
// conflict.
func (s *stage) selects(account string) {
	s.t.Helper()
	for command, status := range map[string]int{
		"status --check":                     3,
		"status --check " + account:          3,
		"status --check --problems":          3,
		"status --check --state in-sync":     3, // --check also counts accounts that are not shown
		"status nobody":                      5,
		"status --application nothing":       5,
		"user list nobody":                   5,
		"audit --user nobody":                5,
		"status --state fine":                2,
		"audit --since soon":                 2,
		"audit --since 1h --until yesterday": 2,
	} {
		if r := s.Run(append([]string{"shadowsync"}, strings.Fields(command)...)...); r.Code != status {
			s.t.Errorf("%s: exit %d, want %d: %s", command, r.Code, status, r)
		}
	}
	for command, shows := range map[string]bool{
		"status --problems":                            true,
		"status --state conflict":                      true,
		"status --state in-sync":                       false,
		"status --application conductor":               true,
		"user list --state conflict,pending":           true,
		"user list --state in-sync":                    false,
		"audit --action conflict --since '1 hour ago'": true,
		"audit --since yesterday --until today":        false,
		"audit --action nothing":                       false,
	} {
		said := s.MustShell("shadowsync " + command)
		if strings.Contains(said, account) != shows {
			s.t.Errorf("%s:\n%s", command, said)
		}
		if !strings.HasPrefix(command, "audit") && !strings.Contains(said, " conflict") {
			s.t.Errorf("%s does not count:\n%s", command, said)
		}
	}
	if said := s.Must("shadowsync", "audit", "--tail", "3"); strings.Count(said, "\n") != 3 {
		s.t.Errorf("the last three records are:\n%s", said)
	}
}

// listed: among thousands of accounts, the one that matters is easy to find.
func (c multitude) listed() {
	const one = "u4711"
	all := fmt.Sprintf("%d,%03d in-sync", (crowdSize+2)/1000, (crowdSize+2)%1000)
	for command, says := range map[string]string{
		"status --problems":        all + "\n",
		"user list --problems":     "conductor: " + all + "\n",
		"status --check u0 " + one: "2 in-sync\n",
	} {
		if said := c.MustShell("shadowsync " + command); !strings.Contains(said, says) || strings.Contains(said, "u4712") {
			c.t.Errorf("%s says:\n%s", command, said)
		}
	}
	c.MustShell("systemctl stop shadowsync.socket shadowsync.service && usermod -L " + one)
	for command, status := range map[string]int{"--check": 3, "--check " + one: 3, "--check u0": 0, "--check --state in-sync u0": 0} {
		if r := c.Run("sh", "-c", "shadowsync status "+command); r.Code != status {
			c.t.Errorf("%s: exit %d, want %d: %.500s", command, r.Code, status, r)
		}
	}
	said := c.MustShell("shadowsync status --problems")
	if !strings.Contains(said, "1 queued\n") || !strings.Contains(said, one) || strings.Count(said, "\n") > 10 {
		c.t.Errorf("the problems are:\n%.2000s", said)
	}
	c.MustShell("usermod -U " + one + " && systemctl start shadowsync.socket shadowsync.service")
}

// pages: on a terminal, long output goes through less in its secure mode, and the exit status is the
// same as without. Variables of another user cannot choose the program.
func (s *stage) pages(account string) {
	s.t.Helper()
	const small = "stty rows 6 cols 80; "
	for _, as := range []string{"", "SUDO_UID=1000 PAGER='sh -c touch\t/root/paged' "} {
		d := s.Terminal("sh", "-c", small+as+"shadowsync status --check")
		d.Expect("lines 1-5", machine.Patience)
		d.Send("!") // the shell command of less(1)
		d.Expect("not available", machine.Patience)
		d.Send("\n")
		d.Expect("lines 1-5", machine.Patience)
		d.Send("q")
		if code := d.Ended(machine.Patience); code != 3 {
			s.t.Errorf("%q: exit %d after the pager", as, code)
		}
	}
	s.MustShell("test ! -e /root/paged")

	d := s.Terminal("sh", "-c", small+"PAGER='tail -n 1' shadowsync audit; shadowsync --no-pager audit --tail 9; SHADOWSYNC_PAGER= shadowsync status; shadowsync user list "+account)
	if code := d.Ended(machine.Patience); code != 0 {
		s.t.Errorf("exit %d:\n%s", code, d)
	}
	if said := d.Transcript(); strings.Contains(said, "lines 1-") || !strings.Contains(said, "store json") {
		s.t.Errorf("a terminal with other pagers shows:\n%s", said)
	}
	if said := s.MustShell("shadowsync status; shadowsync audit"); strings.ContainsAny(said, "\x1b\r") {
		s.t.Errorf("a pipe gets %q", said)
	}
}
