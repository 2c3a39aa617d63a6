package scenes

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/internal/test/machine"
)

const (
	away = "systemctl mask --now shadowsync.service shadowsync.socket shadowsync-operator.socket"
	back = "systemctl unmask shadowsync.service shadowsync.socket shadowsync-operator.socket && " +
		"systemctl start shadowsync.socket shadowsync-operator.socket shadowsync.service"
	lost = "NOT recorded (/usr/sbin/shadowsync is missing): a restart of " + machine.ApplianceUnit + " loses it"
)

// noted lists the notes that the PAM module left.
func (s *stage) noted() string {
	return strings.TrimSpace(s.Shell("cd /var/lib/shadowsync/notes && ls -d [np].* 2>/dev/null").Stdout)
}

// records counts the audit's records of an action about admin.
func (s *stage) records(action string) int {
	n := 0
	for _, e := range s.audit("admin") {
		if e.Action == action {
			n++
		}
	}
	return n
}

// TestNotes: passwd's promises are kept although the broker cannot answer, and passwd promises nothing that cannot be kept.
func TestNotes(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{})
	s.scene("the daemon masked", func(s *stage) {
		s.MustShell(away)
		s.says(s.passwd("admin", "Note-1-velvet-x"), queued)
		s.says(s.noted(), "n.admin")
		if r := s.Run("shadowsync", "status", "--check"); r.Code != 3 || !strings.HasPrefix(r.Stdout, "broker: failed: ") {
			s.t.Errorf("status of a masked daemon: %s", r)
		}
		s.restart()
		s.opens("admin", "Note-1-velvet-x", machine.OldPassword)
		s.inStore("admin")
		if left := s.noted(); left != "" {
			s.t.Errorf("the start left the notes %q", left)
		}
		found := onTime(s.audit("admin"))
		if last := found[len(found)-1]; last.Action != "adopted" || last.Origin.SeenBy != "pam" || last.Origin.By != "root" {
			s.t.Errorf("the last record is %+v, want root's change by PAM", last)
		}
	})
	s.scene("after a boot in which nobody of ours ran", func(s *stage) {
		s.Must("systemctl", "disable", machine.ApplianceUnit)
		s.Reboot()
		s.says(s.passwd("admin", "Note-2-velvet-x"), queued)
		s.Must("useradd", "unmanaged")
		if said := s.passwd("unmanaged", "Note-2-velvet-x"); strings.Contains(said, "shadowsync") {
			s.t.Errorf("of a user whom nobody manages it says %q", said)
		}
		s.Must("systemctl", "enable", "--now", machine.ApplianceUnit)
		s.opens("admin", "Note-2-velvet-x", "Note-1-velvet-x")
		s.inStore("admin")
		s.MustShell(back)
	})
	s.scene("the program missing, and back in time", func(s *stage) {
		s.MustShell("mv /usr/sbin/shadowsync /root/ && systemctl kill -s KILL shadowsync.service")
		said := s.passwd("admin", "Note-3-velvet-x")
		s.says(said, lost)
		s.says(said, "hint: install shadowsync again, then run: shadowsync sync admin")
		s.Must("mv", "/root/shadowsync", "/usr/sbin/")
		s.restart()
		s.opens("admin", "Note-3-velvet-x", "Note-2-velvet-x")
		s.settles("admin")
	})
	s.scene("the program missing, and back too late", func(s *stage) {
		before := s.records("undone")
		s.MustShell("mv /usr/sbin/shadowsync /root/ && systemctl kill -s KILL shadowsync.service")
		s.says(s.passwd("admin", "Note-4-velvet-x"), lost)
		s.restart()
		s.Must("mv", "/root/shadowsync", "/usr/sbin/")
		s.eventually("the audit tells of the loss", drained, func() bool { return s.records("undone") == before+1 })
		s.opens("admin", "Note-3-velvet-x", "")
		if left := s.noted(); left != "" {
			s.t.Errorf("the daemon left the notes %q", left)
		}
	})
}

// TestStateLostWithAHold: a hold by hand survives the loss of the state and the next boot. After the loss, remove still
// removes what setup wrote.
func TestStateLostWithAHold(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{})
	s.Must("shadowsync", "guard", "hold")
	s.MustShell("systemctl stop shadowsync.service && echo garbage, not a database > /var/lib/shadowsync/state/state.db")
	s.Run("shadowsync", "doctor", "--fix")
	s.Reboot()
	s.eventually("the unit is held again", drained, func() bool { return s.status().Guard == "held" })
	s.Must("shadowsync", "guard", "release")
	removed := s.Must("shadowsync", "remove")
	s.says(removed, "is left as it is: the state that recorded what setup changed in it is lost")
	if left := strings.TrimSpace(s.Shell("ls -d /etc/systemd/system/*.d/50-sh* /etc/systemd/system/" + machine.ApplianceUnit + ".d 2>/dev/null").Stdout); left != "" {
		s.t.Errorf("remove left %q", left)
	}
}

// TestStateDamaged: passwd's promises are kept although the state is lost, and the audit reports the loss.
func TestStateDamaged(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{})
	const db = "/var/lib/shadowsync/state/state.db"
	rebuilt := func(s *stage, n int) {
		s.t.Helper()
		out := s.Must("shadowsync", "audit", "--json")
		if !strings.Contains(out, "state-rebuilt") {
			s.t.Errorf("the audit does not tell of the loss: %s", out)
		}
		if kept := strings.TrimSpace(s.MustShell("ls -d " + db + ".damaged-* | grep -vc journal")); kept != fmt.Sprint(n) {
			s.t.Errorf("%s damaged states are kept, want %d", kept, n)
		}
	}
	s.scene("overwritten while the daemon is away", func(s *stage) {
		s.MustShell(away)
		s.says(s.passwd("admin", "Lost-1-velvet-x"), queued)
		s.MustShell("echo garbage, not a database > " + db)
		s.restart()
		s.opens("admin", "Lost-1-velvet-x", machine.OldPassword)
		s.inStore("admin")
		rebuilt(s, 1)
		s.MustShell(back)
		s.settles("admin")
	})
	s.scene("overwritten under the daemon", func(s *stage) {
		s.MustShell("echo garbage, not a database > " + db)
		said := s.passwd("admin", "Lost-2-velvet-x")
		if !strings.Contains(said, queued) && !strings.Contains(said, "persisted in") {
			s.t.Errorf("it says %q", said)
		}
		// The watch over the last start may create a new state before the module's note exists.
		// Then nothing says which side is right, and the unit is held until the daemon reads the note.
		s.eventually("a restart is let through", drained, func() bool { return s.Run("systemctl", "restart", machine.ApplianceUnit).Code == 0 })
		s.opens("admin", "Lost-2-velvet-x", "Lost-1-velvet-x")
		s.inStore("admin")
		rebuilt(s, 2)
		s.eventually("the daemon works again", drained, func() bool { return s.Run("shadowsync", "status", "--check").Code == 0 })
	})
	s.scene("both sides differ, and nothing tells which is right", func(s *stage) {
		s.MustShell(stopDaemon + " && dd if=/dev/zero of=" + db + " bs=4096 seek=1 count=4 conv=notrunc")
		s.Must("usermod", "-p", s.hashed("Lost-3-velvet-x"), "admin")
		before := s.StoreHash("admin")
		s.Run("shadowsync", "doctor", "--fix")
		if s.StoreHash("admin") != before || !s.opensHash(s.ShadowHash("admin"), "Lost-3-velvet-x") {
			s.t.Error("doctor decided which side is right")
		}
		if a := s.state("admin"); a.State != "conflict" {
			s.t.Errorf("admin is %s, want a conflict", a.State)
		}
		rebuilt(s, 3)
		s.Must("shadowsync", "sync", "admin", "--prefer", "os")
		s.settles("admin")
		if r := s.Run("shadowsync", "doctor"); r.Code != 0 {
			s.t.Errorf("doctor: %s", r)
		}
	})
	// The application remembers a password from before the one that the lost state knew, and dumps it as it stops.
	blank := blankState(t)
	beginsAnew := func(s *stage) {
		s.t.Helper()
		s.MustShell(away)
		s.CopyIn(blank, db, 0o600)
		s.MustShell(back)
		s.settles("admin")
		rebuilt(s, 3)
	}
	s.scene("begun anew after a change", func(s *stage) {
		s.passwd("admin", "Lost-4-velvet-x")
		s.settles("admin")
		beginsAnew(s)
		s.restart()
		s.opens("admin", "Lost-4-velvet-x", "Lost-2-velvet-x")
		if a := s.state("admin"); a.State != "conflict" {
			s.t.Errorf("admin is %s, want a conflict", a.State)
		}
		s.restart()
		s.opens("admin", "Lost-4-velvet-x", "Lost-2-velvet-x")
		s.Must("shadowsync", "sync", "admin", "--prefer", "os")
		s.settles("admin")
		s.restart()
		s.opens("admin", "Lost-4-velvet-x", "Lost-2-velvet-x")
		s.inStore("admin")
	})
	s.scene("begun anew, and then a change", func(s *stage) {
		s.passwd("admin", "Lost-5-velvet-x")
		s.settles("admin")
		beginsAnew(s)
		s.passwd("admin", "Lost-6-velvet-x")
		s.restart()
		s.opens("admin", "Lost-6-velvet-x", "Lost-4-velvet-x")
		s.inStore("admin")
	})
	s.scene("begun anew before its disk is full", func(s *stage) {
		s.passwd("admin", "Lost-7-velvet-x")
		s.settles("admin")
		beginsAnew(s)
	})
	s.scene("its disk full", func(s *stage) {
		s.Must("shadowsync", "guard", "hold")
		s.MustShell(stopDaemon + " && cp -a /var/lib/shadowsync /root/kept && " +
			"mount -t tmpfs -o size=2m,mode=700,nr_inodes=100 tmpfs /var/lib/shadowsync && cp -a /root/kept/. /var/lib/shadowsync/ && rm -f " + db + ".damaged-*; " +
			"dd if=/dev/zero of=/var/lib/shadowsync/fill bs=4k; true")
		s.says(s.passwd("admin", "Full-1-velvet-x"), queued)
		s.says(s.noted(), "admin")
		s.Must("sh", "-c", s.helpsOnce(s.Run("shadowsync", "guard", "release"))) // the hinted command restarts the unit
		s.opens("admin", "Full-1-velvet-x", "Lost-6-velvet-x")
		s.inStore("admin")
		s.MustShell("rm /var/lib/shadowsync/fill && systemctl start shadowsync.socket shadowsync-operator.socket shadowsync.service")
		s.Must("shadowsync", "guard", "release")
		s.settles("admin")
		s.eventually("the note is dealt with", drained, func() bool { return s.noted() == "" })
	})
	s.scene("no room for a note either", func(s *stage) {
		s.MustShell(stopDaemon + "; cd /var/lib/shadowsync/notes && rm -f s.*; i=0; while ln -s 1 fill$i 2>/dev/null; do i=$((i+1)); done; dd if=/dev/zero of=/var/lib/shadowsync/fill bs=4k; true")
		s.askAgain()
		said := s.passwd("admin", "Full-2-velvet-x")
		s.says(said, "shadowsync: admin: NOT recorded (no space left on /var/lib/shadowsync): a restart of "+machine.ApplianceUnit+" loses it")
		s.says(said, "hint: make room there, then run: shadowsync sync admin")
		s.MustShell("rm -f /var/lib/shadowsync/fill /var/lib/shadowsync/notes/fill*")
		s.Must("shadowsync", "sync", "admin")
		s.restart()
		s.opens("admin", "Full-2-velvet-x", "Full-1-velvet-x")
	})
	s.spoiltDisks("Full-2-velvet-x")
}

// blankState is a state in which nothing is recorded.
func blankState(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	blank, err := state.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := blank.Close(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, state.FileName)
}

// oneSmallDisk puts our state and the store on one file system of a few megabytes.
func (s *stage) oneSmallDisk() {
	s.t.Helper()
	s.MustShell(stopDaemon + " " + machine.ApplianceUnit + " && mkdir -p /mnt/small && mount -t tmpfs -o size=8m tmpfs /mnt/small && " +
		"cp -a /var/lib/shadowsync /mnt/small/state && cp -a " + storeFolder + " /mnt/small/store && " +
		"mount --bind /mnt/small/state /var/lib/shadowsync && mount --bind /mnt/small/store " + storeFolder + " && " +
		"systemctl start shadowsync.socket shadowsync-operator.socket shadowsync.service " + machine.ApplianceUnit)
	s.settles("admin")
}

// unguarded removes the appliance's guard, as its limit would, and runs a systemctl command that the guard
// refuses. It tries again, because our programs that still run may set the guard again at any time.
func (s *stage) unguarded(command string) {
	s.t.Helper()
	s.eventually("without the guard: "+command, machine.Patience, func() bool {
		return s.Shell("rm -f /run/systemd/system/"+machine.ApplianceUnit+".d/90-shadowsync-guard.conf; systemctl daemon-reload; systemctl "+command).Code == 0
	})
}

// TestOneDiskForBoth: neither the state nor the store can take anything. The password that passwd set still survives
// every start of the application, and reaches the store once there is room.
func TestOneDiskForBoth(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{})
	const full = "shadowsync: admin: NOT persisted (store: no space left on device); it is as soon as the store takes it"
	s.oneSmallDisk()
	stands := func(s *stage, password, before string) {
		s.t.Helper()
		s.unguarded("restart " + machine.ApplianceUnit)
		s.eventually("the new password is back", machine.Patience, func() bool { return s.opensHash(s.ShadowHash("admin"), password) })
		if s.opensHash(s.StoreHash("admin"), password) {
			s.t.Error("the store took it")
		}
		s.opens("admin", password, before)
	}
	s.MustShell("dd if=/dev/zero of=/mnt/small/fill bs=4k; true")
	s.scene("the daemon runs", func(s *stage) {
		s.says(s.answered("admin", "Both-1-velvet-x"), full)
		s.says(s.noted(), "admin")
		stands(s, "Both-1-velvet-x", machine.OldPassword)
		if r := s.Run("shadowsync", "status", "--check"); r.Code != 3 || s.state("admin").State == "in-sync" {
			s.t.Errorf("status: %s", r)
		}
	})
	s.scene("nobody of ours runs", func(s *stage) {
		s.MustShell(away)
		s.says(s.passwd("admin", "Both-2-velvet-x"), queued)
		stands(s, "Both-2-velvet-x", "Both-1-velvet-x")
		// The same as after a boot.
		s.unguarded("stop " + machine.ApplianceUnit + " 'shadowsync-settle@*'")
		s.MustShell("rm -r /run/shadowsync/state")
		stands(s, "Both-2-velvet-x", "Both-1-velvet-x")
		s.eventually("it is held", drained, func() bool { return s.status().Guard == "on" })
		if r := s.Run("shadowsync", "guard", "release", "--force"); r.Code != 0 || !strings.Contains(r.Stderr, "only the journal has a record of it") || s.status().Guard != "off" {
			s.t.Errorf("the guard on a full disk: %s", r)
		}
	})
	s.scene("room is made", func(s *stage) {
		s.MustShell("rm /mnt/small/fill")
		s.unguarded("restart " + machine.ApplianceUnit)
		s.eventually("the store takes it", drained, func() bool { return s.opensHash(s.StoreHash("admin"), "Both-2-velvet-x") })
		s.MustShell(back)
		s.settles("admin")
		s.opens("admin", "Both-2-velvet-x", machine.OldPassword)
		if left := s.noted(); left != "" {
			s.t.Errorf("the notes %q are left", left)
		}
		if left := strings.TrimSpace(s.Shell("ls -d /run/shadowsync/state 2>/dev/null").Stdout); left != "" {
			s.t.Errorf("%s is left", left)
		}
	})
}

// TestNothingIsGreenThatWasNotSeen: status does not say in-sync if it cannot read the store.
func TestNothingIsGreenThatWasNotSeen(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{})
	const file = "/var/lib/128technology/user-running.json"
	s.onOwnDisk()
	s.scene("read-only", func(s *stage) {
		s.readOnly()
		if r := s.Run("shadowsync", "status", "--check"); r.Code != 3 || !strings.Contains(r.Stdout, file+": read-only file system") {
			s.t.Errorf("status: %s", r)
		}
		s.writable()
	})
	for name, c := range map[string]struct{ spoil, says string }{
		"gone":      {"mv " + file + " /root/", file},
		"malformed": {"echo '{' >> " + file, "cannot parse " + file + ", line "},
	} {
		s.scene(name, func(s *stage) {
			s.MustShell("cp -p " + file + " /root/kept.json && " + c.spoil)
			r := s.Run("shadowsync", "status", "--check")
			if r.Code != 3 || strings.Contains(r.Stdout, "in-sync") {
				s.t.Errorf("status: %s", r)
			}
			s.says(r.Stdout, c.says)
			s.MustShell("cp -p /root/kept.json " + file)
			s.settles("admin")
		})
	}
}
