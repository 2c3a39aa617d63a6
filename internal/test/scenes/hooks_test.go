package scenes

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// loadedAsRoot is a library that leaves a file behind whenever a process loads it as root.
const loadedAsRoot = `#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
__attribute__((constructor)) static void loaded(void) {
	char name[64];
	if (geteuid() != 0) return;
	snprintf(name, sizeof name, "/run/loaded-as-root.%d", (int)getpid());
	close(open(name, O_CREAT | O_WRONLY, 0600));
}
`

// plant puts the library, and a program with our program's name, where the application may write.
func (s *stage) plant() {
	s.t.Helper()
	folder := s.t.TempDir()
	source, library := filepath.Join(folder, "evil.c"), filepath.Join(folder, "evil.so")
	if err := os.WriteFile(source, []byte(loadedAsRoot), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if out, err := exec.CommandContext(s.t.Context(), "cc", "-shared", "-fPIC", "-o", library, source).CombinedOutput(); err != nil {
		s.t.Fatalf("cc: %v\n%s", err, out)
	}
	s.CopyIn(library, "/srv/app/evil.so", 0o755)
	s.WriteFile("/srv/app/usr/sbin/shadowsync", "#!/bin/sh\ntouch /run/loaded-as-root.planted\n", 0o755)
	s.WriteFile("/srv/app/env", "LD_PRELOAD=/srv/app/evil.so\nLD_LIBRARY_PATH=/srv/app\nGODEBUG=x=y\n", 0o644)
	s.MustShell("chown -R t128 /srv/app")
}

// theirs are settings of the application's own unit: a user without rights, and files that this user may write.
var theirs = map[string]string{
	"environment":    "User=t128\nEnvironmentFile=/srv/app/env\n",
	"planted binary": "User=t128\nBindReadOnlyPaths=/srv/app/usr/sbin/shadowsync:/usr/sbin/shadowsync\n",
	"root directory": "User=t128\nRootDirectory=/srv/app\nBindReadOnlyPaths=/usr/bin /usr/lib /usr/lib64 /bin /lib /lib64 /dev\nBindPaths=/run\n",
}

// TestTheApplicationDoesNotBecomeRoot: an application's unit may use files that the application
// can write; our processes load none of them.
func TestTheApplicationDoesNotBecomeRoot(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{})
	s.plant()
	const unit = "weak.service"
	loaded := func() string { return strings.TrimSpace(s.MustShell("ls /run/loaded-as-root.* 2>/dev/null || true")) }
	control := "ExecStopPost=-+/usr/sbin/shadowsync hook post-stop --unit %n\n"
	s.MustShell(`cat >> /etc/shadowsync/shadowsync.toml <<'END'

[[application]]
name = "weak"
unit = "weak.service"
accounts = ["weak"]
[application.store]
driver = "sqlite"
END
useradd weak`)
	for name, lines := range theirs {
		s.sub(name, func(s *stage) {
			write := func(more string) {
				s.WriteFile("/etc/systemd/system/"+unit, "[Service]\nExecStart=/usr/bin/sleep infinity\n"+lines+more, 0o644)
				s.Must("systemctl", "daemon-reload")
			}
			turn := func() {
				s.MustShell("rm -f /run/loaded-as-root.*")
				s.Must("systemctl", "start", unit)
				s.Must("systemctl", "is-active", unit)
				s.eventually("the watch", machine.Patience, func() bool {
					return s.Run("systemctl", "is-active", "shadowsync-settle@"+unit).Code == 0
				})
				s.Must("systemctl", "restart", unit)
				s.MustShell("kill -9 $(systemctl show -P MainPID " + unit + ")")
				s.eventually("the end of the hooks", machine.Patience, func() bool {
					return s.Run("systemctl", "is-active", unit).Code != 0 && !strings.Contains(s.Must("systemctl", "list-jobs", "--no-legend"), "service")
				})
			}
			write("")
			s.Must("shadowsync", "setup", "--first", "os")
			turn()
			if got := loaded(); got != "" {
				s.t.Errorf("loaded as root: %s", got)
			}
			// The same with our command inside the unit, as in earlier versions.
			write(control)
			turn()
			if loaded() == "" {
				s.t.Error("a command inside the unit loads nothing either, so that this proves nothing")
			}
		})
	}
}

// TestAStartThatIsQueuedWhileItStops: a start is queued while the application stops. The application
// dumps its old users after the hook of that start has run, and the broker does not help.
func TestAStartThatIsQueuedWhileItStops(t *testing.T) {
	t.Parallel()
	for _, release := range machine.Releases {
		t.Run(string(release), func(t *testing.T) {
			t.Parallel()
			s := set(t, release, machine.Appliance{})
			mainPID := "$(systemctl show -P MainPID " + machine.ApplianceUnit + ")"
			last := machine.OldPassword
			for name, script := range map[string]string{
				"stop and start":   "systemctl stop --no-block U; systemctl start U",
				"killed and start": "kill -9 " + mainPID + "; systemctl start U",
				"ended and start":  "kill -TERM " + mainPID + "; systemctl start U",
				"restart":          "systemctl restart U",
			} {
				s.sub(name, func(s *stage) {
					password := "Queued-" + strings.ReplaceAll(name, " ", "-") + "-velvet-x"
					s.passwd("admin", password)
					s.MustShell("systemctl mask --runtime --now shadowsync.socket shadowsync-operator.socket shadowsync.service")
					s.MustShell(strings.ReplaceAll(script, "U", machine.ApplianceUnit))
					s.eventually("the end of the hooks", machine.Patience, func() bool {
						return !strings.Contains(s.Must("systemctl", "list-jobs", "--no-legend"), "service")
					})
					s.opens("admin", password, last)
					s.inStore("admin")
					s.MustShell("systemctl unmask --runtime shadowsync.socket shadowsync-operator.socket shadowsync.service; systemctl start shadowsync.socket shadowsync-operator.socket shadowsync.service")
					last = password
				})
			}
		})
	}
}

// TestAlarms: status, doctor and the audit name the program that brings old passwords back.
func TestAlarms(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t, machine.Bookworm)
	m.InstallAppliance(machine.Appliance{})
	m.InstallShadowsync()
	s := &stage{T: m, t: t}
	s.scene("a store that the application does not read", func(s *stage) {
		said := s.Must("shadowsync", "setup", "--unit", "128T", "--account", "admin", "user222", "--store", "sqlite")
		s.says(said, "not confirmed yet that 128T.service keeps a new password")
		s.passwd("admin", "Elsewhere-1-velvet-x")
		s.restart()
		s.eventually("the alarm", machine.Patience, func() bool {
			return strings.Contains(s.Must("shadowsync", "status"), "alarm: admin: wrong store: ")
		})
		trail := s.Must("shadowsync", "audit", "--user", "admin")
		if strings.Contains(trail, "usermod in 128T.service set an older password at its start") {
			s.opens("admin", "Elsewhere-1-velvet-x", machine.OldPassword)
		} else { // usermod had ended before the kernel could be asked about it
			s.says(trail, "not known which program set it")
		}
		s.says(s.Must("shadowsync", "status", "--json"), `"alarms"`)
		if r := s.Run("shadowsync", "doctor"); r.Code == 0 || !strings.Contains(r.Stdout, "a person has to name the store that the application reads") {
			s.t.Errorf("doctor: %s", r)
		}
		s.says(s.Must("shadowsync", "setup"), "not confirmed yet")
		s.Must("shadowsync", "remove", "--purge")
	})
	s.scene("configuration management", func(s *stage) {
		s.Configure()
		s.Must("shadowsync", "setup", "--first", "os")
		s.WriteFile("/usr/local/bin/puppet", "#!/bin/sh\nusermod -p '"+s.ShadowHash("admin")+"' admin; sleep 1\n", 0o755)
		s.WriteFile("/etc/systemd/system/puppet.service", "[Service]\nType=oneshot\nExecStart=/usr/local/bin/puppet\n", 0o644)
		s.Must("systemctl", "daemon-reload")
		old := s.ShadowHash("admin")
		for _, password := range []string{"Puppet-1-velvet-x", "Puppet-2-velvet-x", "Puppet-3-velvet-x"} {
			s.passwd("admin", password)
			s.settles("admin")
			s.Must("systemctl", "start", "puppet.service")
			s.eventually("its hash in the store", machine.Patience, func() bool { return s.StoreHash("admin") == old })
			s.settles("admin")
		}
		const alarm = "one value came back 3 times, set by "
		if status := s.Must("shadowsync", "status"); !strings.Contains(status, alarm+"usermod in puppet.service") {
			s.says(status, alarm+"an unknown program")
		}
		s.says(s.Must("shadowsync", "audit", "--user", "admin"), alarm)
		s.says(s.Run("shadowsync", "doctor").Stdout, alarm)
	})
	s.scene("proven", func(s *stage) {
		s.passwd("user222", "Proven-1-velvet-x")
		s.restart()
		s.settles("user222")
		s.says(s.Must("shadowsync", "setup"), "128T.service kept it when it started at ")
	})
}
