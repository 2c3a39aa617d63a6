package scenes

import (
	"encoding/json"
	"strings"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

const (
	startHook = "shadowsync-start@128T.service"
	// noNamespace makes a unit fail before its program runs.
	noNamespace = "[Service]\nBindPaths=/nowhere\n"
)

// whileTmpIsFull: at the next boot no file can be created in /tmp when the start hook runs, as if a
// user had filled it, or while tmpfiles.d(5) empties it.
func whileTmpIsFull(s *stage, password string) {
	s.PowerOff()
	s.edited(s.hashed(password))
	s.WriteFile("/etc/systemd/system/full.service", "[Unit]\nDefaultDependencies=no\nAfter=local-fs.target\nBefore="+startHook+
		"\n[Service]\nType=oneshot\nExecStart=/usr/bin/mount -t tmpfs -o nr_inodes=1 tmpfs /tmp\nRemainAfterExit=yes\n", 0o644)
	s.WriteFile("/etc/systemd/system/shadowsync-start@.service.d/50-full.conf", "[Unit]\nWants=full.service\n", 0o644)
	s.PowerOn()
	if r := s.Shell("touch /tmp/x"); r.Code == 0 {
		s.t.Error("/tmp is not full, and this proves nothing")
	}
	s.kept(password)
	if result := strings.TrimSpace(s.Must("systemctl", "show", "-P", "Result", startHook)); result != "success" {
		s.t.Errorf("the start hook: %s", result)
	}
	s.MustShell("umount /tmp; rm -r /etc/systemd/system/full.service /etc/systemd/system/shadowsync-start@.service.d; systemctl daemon-reload; systemctl restart shadowsync.service")
}

// whileTheHookCannotRun: systemd cannot run the start hook's program in its unit. The retry unit
// does the work before the application starts, and restores a hold by hand, too.
func whileTheHookCannotRun(s *stage, password string) {
	s.Must("shadowsync", "guard", "hold")
	s.PowerOff()
	s.edited(s.hashed(password))
	s.WriteFile("/etc/systemd/system/shadowsync-start@.service.d/50-unrunnable.conf", noNamespace, 0o644)
	s.PowerOn()
	s.isHeld("by hand")
	s.Must("shadowsync", "guard", "release")
	s.kept(password)
	s.says(s.Must("shadowsync", "audit"), startHook+" failed (exit-code, status 226); the second try did its work")
	s.settles("admin")
	if state, detail := s.startHookFinding(); state != "warn" || !strings.Contains(detail, "shadowsync-retry@128T.service did its work") {
		s.t.Errorf("doctor says %s: %s", state, detail)
	}
	s.runnable()
}

// whileNoHookCanRun: the application starts although none of our programs has run before it, and
// undoes the change. status and doctor report that until the hook works again.
func whileNoHookCanRun(s *stage, password string) {
	s.PowerOff()
	s.edited(s.hashed(password))
	for _, unit := range []string{"start", "retry"} {
		s.WriteFile("/etc/systemd/system/shadowsync-"+unit+"@.service.d/50-unrunnable.conf", noNamespace, 0o644)
	}
	s.PowerOn()
	s.Must("systemctl", "is-active", machine.ApplianceUnit)
	status := s.Run("shadowsync", "status", "--check")
	if status.Code != 3 {
		s.t.Errorf("status --check: %s", status)
	}
	s.says(status.Stdout, "start hook: "+startHook+" failed (exit-code, status 226) before 128T.service started")
	s.says(status.Stdout, "\n    systemctl start "+startHook+"\n")
	if state, detail := s.startHookFinding(); state != "fail" || !strings.Contains(detail, startHook+" failed (exit-code, status 226)") {
		s.t.Errorf("doctor says %s: %s", state, detail)
	}
	if r := s.Run("systemctl", "start", startHook); r.Code == 0 {
		s.t.Errorf("the hook runs: %s", r)
	}
	s.runnable()
	s.passwd("admin", password)
	s.restart() // until now the application has the lost password in its memory
}

// kept asserts that the application has started and has not undone the change.
func (s *stage) kept(password string) {
	s.t.Helper()
	s.Must("systemctl", "is-active", machine.ApplianceUnit)
	if !s.opensHash(s.ShadowHash("admin"), password) {
		s.t.Errorf("the start of the application has undone the change: %s", s.Shell("systemctl status --no-pager "+startHook+"; shadowsync status"))
	}
}

// runnable removes what prevents the hooks from running, and does what status and doctor advise.
func (s *stage) runnable() {
	s.t.Helper()
	s.MustShell("rm -r /etc/systemd/system/shadowsync-*@.service.d; systemctl daemon-reload")
	s.Must("systemctl", "start", startHook)
	if r := s.Run("shadowsync", "status", "--check"); r.Code != 0 {
		s.t.Errorf("status --check, after the command that it names: %s", r)
	}
	if state, detail := s.startHookFinding(); state != "ok" {
		s.t.Errorf("doctor says %s: %s", state, detail)
	}
}

// startHookFinding returns what doctor says about the start hook.
func (s *stage) startHookFinding() (state, detail string) {
	s.t.Helper()
	var all struct {
		Checks []struct{ Name, State, Detail string } `json:"checks"`
	}
	said := s.Run("shadowsync", "doctor", "--json")
	if err := json.Unmarshal([]byte(said.Stdout), &all); err != nil {
		s.t.Fatalf("doctor --json: %v\n%s", err, said)
	}
	for _, c := range all.Checks {
		if c.Name == "start-hook" {
			return c.State, c.Detail
		}
	}
	s.t.Fatal("doctor does not look at the start hook")
	return "", ""
}
