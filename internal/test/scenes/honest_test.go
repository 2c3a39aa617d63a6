package scenes

import (
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// TestKeptOut: if something else still keeps an account out of a login, passwd and the tool say so
// instead of plain success. status and doctor do not report a problem as ok.
func TestKeptOut(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{})
	s.sub("expired and without a shell", func(s *stage) {
		s.MustShell("chage -E 2020-01-01 admin; usermod -s /usr/sbin/nologin admin")
		const expired, shell = "still expired since 2020-01-01: shadowsync user unlock admin", "its shell /usr/sbin/nologin does not allow logins: chsh -s /bin/bash admin"
		said := s.persists("admin", "Kept-velvet-1", "conductor's")
		s.says(said, "; "+expired)
		s.says(said, shell)
		out := s.Input("Kept-velvet-2\n").Run("shadowsync", "user", "set", "password", "admin", "--stdin")
		s.says(out.Stderr, "shadowsync: admin: "+expired)
		out = s.Run("shadowsync", "user", "reset", "password", "admin", "user222")
		s.says(out.Stderr, shell)
		s.says(out.Stderr, "2 accounts: 2 in sync, 1 still unable to log in")
		s.says(s.Run("shadowsync", "user", "reset", "password", "admin", "--json").Stdout, `"reason":"still expired since 2020-01-01"`)
		s.Must("shadowsync", "user", "unlock", "admin")
		s.Must("chsh", "-s", "/bin/bash", "admin")
		out = s.Input("Kept-velvet-3\n").Run("shadowsync", "user", "set", "password", "admin", "--stdin")
		if strings.Contains(out.Stderr, "admin:") {
			s.t.Errorf("nothing keeps admin out, and it says %s", out)
		}
		s.opens("admin", "Kept-velvet-3", "")
	})
	s.sub("two names of one uid", func(s *stage) {
		s.MustShell("useradd --non-unique --uid $(id -u user222) --gid $(id -g user222) second")
		s.says(s.As("user222").Run("pcli", "-c", "show user").Stderr, "second and user222")
		s.says(s.passwd("user222", "Shared-velvet-1"), "is also that of second, whose sessions end too")
		s.says(s.Shell("shadowsync doctor").Stdout, "second and user222 share the uid")
		s.MustShell("sed -i /^second:/d /etc/passwd /etc/shadow; shadowsync sync")
	})
	s.sub("a store that takes nothing", func(s *stage) {
		s.onOwnDisk()
		s.readOnly()
		s.passwd("admin", "Kept-velvet-4")
		s.eventually("status says that it is not well", machine.Patience, func() bool {
			out := s.Run("shadowsync", "status").Stdout
			return strings.Contains(out, "store json (unavailable)") && strings.Contains(out, "store: unavailable: ") && strings.Contains(out, "read-only file system")
		})
		s.writable()
	})
	s.sub("what may be restarted is in sync", func(s *stage) {
		for deadline := time.Now().Add(machine.Patience); s.Run("shadowsync", "status", "--check").Code != 0; {
			if time.Now().After(deadline) {
				s.t.Fatal("never in sync")
			}
		}
		s.restart()
	})
}
