package scenes

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/machine"
)

// TestNotification: the administrator's own program hears, as nobody, of a change that
// waits, of a conflict, and of an application that keeps writing an old value back; of
// nothing else, and of no secret.
func TestNotification(t *testing.T) {
	s := set(t, machine.Bookworm, machine.Appliance{}, "[node]", "[notify]\ncommand = \"/usr/local/bin/tell\"\n\n[node]")
	s.WriteFile("/usr/local/bin/tell", "#!/bin/sh\n{ id -un; cat; } >> /var/lib/told/it\n", 0o755)
	s.MustShell("install -d -o nobody /var/lib/told")
	s.passwd("admin", "Taken-4711-kelp") // of which nobody is told
	s.sub("a change that waits", func(s *stage) {
		s.MustShell("mkdir -p /root/away && mv " + machine.StorePath + " /root/away/")
		s.passwd("admin", "Waits-4711-kelp")
		s.tells("admin", "pending", "pending")
		s.MustShell("mv /root/away/* " + machine.StorePath)
		s.eventually("the change is drained", machine.Patience, func() bool { return s.state("admin").State == "in-sync" })
	})
	s.sub("a conflict", func(s *stage) {
		s.apart("user222")
		s.tells("user222", "conflict", "conflict")
		s.Must("shadowsync", "sync", "user222", "--prefer", "os")
		s.restart() // which ends what the appliance remembers of it
	})
	s.sub("the third time that an old value is written back", func(s *stage) {
		old := s.StoreHash("admin")
		s.passwd("admin", "Fresh-4711-tide")
		for range 3 {
			s.AskAppliance("set", "admin", old)
			s.eventually("the store holds the new one again", machine.Patience, func() bool { return s.StoreHash("admin") == s.ShadowHash("admin") })
		}
		s.tells("admin", "alarm", "")
	})
}

// hashLike is what is more of a hash than its format.
var hashLike = regexp.MustCompile(`\$\w+\$[^"]`)

// tells waits until the program is told, asserts that it is this and nothing else, and
// begins anew. Of one change it may hear twice: the watch was faster than the PAM module,
// which knows whose it is.
func (s *stage) tells(account, action, result string) {
	s.t.Helper()
	s.eventually("the program is told of "+action, 10*time.Second, func() bool {
		return strings.Contains(s.Run("cat", "/var/lib/told/it").Stdout, `"action":"`+action+`"`)
	})
	time.Sleep(500 * time.Millisecond) // for what should not come
	s.eventually("the program has read it", 10*time.Second, func() bool {
		return s.Must("systemctl", "list-units", "--no-legend", "shadowsync-notify-*") == ""
	})
	said := s.ReadFile("/var/lib/told/it")
	if strings.Contains(said, "4711") || hashLike.MatchString(said) {
		s.t.Errorf("a secret is in what it was told:\n%s", said)
	}
	if n := strings.Count(said, "nobody\n"); n == 0 || n > 2 || strings.Count(said, "\n") != 2*n {
		s.t.Errorf("it was told %d times, or as somebody else:\n%s", n, said)
	}
	for line := range strings.Lines(strings.ReplaceAll(said, "nobody\n", "")) {
		var news struct {
			Node, Asset string
			Events      []event
		}
		if err := json.Unmarshal([]byte(line), &news); err != nil || news.Node != "node1" || news.Asset != "conductor" || len(news.Events) != 1 {
			s.t.Fatalf("%v: it was told\n%s", err, line)
		}
		if e := news.Events[0]; e.Account != account || e.Action != action || e.Result != result {
			s.t.Errorf("it was told of %+v", e)
		}
	}
	s.Must("rm", "/var/lib/told/it")
}
