package scenes

import (
	"fmt"
	"strings"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// helpsOnce returns the command for one restart from the hint of a refused release.
func (s *stage) helpsOnce(r machine.Result) string {
	s.t.Helper()
	_, command, there := strings.Cut(r.Stderr, "(or, for one restart: ")
	if r.Code != 9 || !there || !strings.Contains(r.Stderr, "hint: make room on /var/lib/shadowsync/state, then: shadowsync guard release ") {
		s.t.Fatalf("guard release: %s", r)
	}
	return strings.TrimSuffix(strings.TrimSpace(command), ")")
}

const (
	sockets    = "shadowsync.socket shadowsync-operator.socket"
	stopDaemon = "systemctl stop shadowsync.service " + sockets + " 'shadowsync-settle@*'" // the watch over the start has the state open, too
	// restart, because start would join a start that systemd may be trying by itself, on the disk as it was.
	runDaemon = "systemctl reset-failed shadowsync.service " + sockets + "; systemctl start " + sockets + "; systemctl restart shadowsync.service"
)

const (
	runFull = "mount -o remount,size=$(($(df -k --output=used /run | tail -n 1) + 64))k /run && { dd if=/dev/zero of=/run/fill bs=4k; true; }"
	runRoom = "rm -f /run/fill; mount -o remount,size=20% /run"
)

// spoiltDisk is a way in which a disk can take no more. The state is on a file system of its own.
type spoiltDisk struct {
	name        string
	spoil, mend string
	never       string // what passwd must not say then
}

var spoiltDisks = []spoiltDisk{
	{"no inodes", runDaemon + "; cd /var/lib/shadowsync; i=0; while (: > fill$i) 2>/dev/null; do i=$((i+1)); done; true", "rm -f /var/lib/shadowsync/fill*", "NOT recorded"},
	{"no inodes, without the daemon", stopDaemon + "; cd /var/lib/shadowsync; i=0; while (: > fill$i) 2>/dev/null; do i=$((i+1)); done; true", "rm -f /var/lib/shadowsync/fill*", "NOT recorded"},
	{"read-only", stopDaemon + " && mount -o remount,ro /var/lib/shadowsync && { " + runDaemon + "; true; }", "mount -o remount,rw /var/lib/shadowsync", "queued"},
	{"read-only, without the daemon", stopDaemon + " && mount -o remount,ro /var/lib/shadowsync", "mount -o remount,rw /var/lib/shadowsync", "queued"},
	{"damaged and read-only", stopDaemon + "; echo garbage, not a database > /var/lib/shadowsync/state/state.db && mount -o remount,ro /var/lib/shadowsync && { " + runDaemon + "; true; }", "mount -o remount,rw /var/lib/shadowsync", "queued"},
	{"its quota used up", failing("EDQUOT", "shadowsync.service"), failsNoMore, "NOT recorded"},
	{"I/O errors", failing("EIO", "shadowsync.service"), failsNoMore, "NOT recorded"},
	{"I/O errors for the hooks too", failing("EIO", "shadowsync.service", "shadowsync-start@.service", "shadowsync-stopped@.service", "shadowsync-settle@.service", "shadowsync-retry@.service", "shadowsync-recheck@.service"), failsNoMore, "NOT recorded"},
	{"the folder of sockets and guards full", runDaemon + "; " + runFull, runRoom, "NOT recorded"},
	{
		"that full and the store read-only", runDaemon + "; " + readOnlyBind(storeFolder) + "; " + runFull,
		"umount --lazy " + storeFolder + "; " + runRoom, "persisted in",
	},
}

// failing makes every write to a database fail in these units: SQLite alone uses pwrite64(2).
func failing(errno string, units ...string) string {
	script := runDaemon
	for _, unit := range units {
		script += "; mkdir -p /run/systemd/system/" + unit + ".d && printf '[Service]\nSystemCallFilter=~pwrite64:" + errno + "\n' > /run/systemd/system/" + unit + ".d/failing.conf"
	}
	return script + "; systemctl daemon-reload; systemctl restart shadowsync.service; true"
}

const failsNoMore = "rm -f /run/systemd/system/shadowsync*.service.d/failing.conf; systemctl daemon-reload"

// spoiltDisks: whichever disk is full or read-only, passwd's message about the new password is true.
func (s *stage) spoiltDisks(before string) {
	for i, d := range spoiltDisks {
		s.scene(d.name, func(s *stage) {
			s.MustShell(d.spoil)
			s.askAgain()
			password := fmt.Sprintf("Spoilt-%d-velvet-x", i)
			said := s.passwd("admin", password)
			s.t.Log(said)
			if strings.Contains(said, d.never) {
				s.t.Errorf("it says %q", said)
			}
			s.keepsWord(said, password, d.mend)
			s.runsDaemon()
			s.settles("admin")
			s.restart()
			s.opens("admin", password, before)
			s.inStore("admin")
			before = password
		})
	}
}

// runsDaemon starts the daemon. systemd may be starting it again already, since before the disk was
// mended, and then reports that start's failure.
func (s *stage) runsDaemon() {
	s.t.Helper()
	s.eventually("the daemon starts", machine.Patience, func() bool { return s.Shell(runDaemon).Code == 0 })
}

// keepsWord asserts that what passwd said comes true. It mends the disk once that no longer matters
// to the promise.
func (s *stage) keepsWord(said, password, mend string) {
	s.t.Helper()
	_, hint, _ := strings.Cut(said, "shadowsync sync ")
	switch {
	case strings.Contains(said, "persisted in conductor's credential store"):
		if !s.opensHash(s.StoreHash("admin"), password) {
			s.t.Error("the store has another password")
		}
		s.MustShell(mend)
	case strings.Contains(said, queued):
		s.restart()
		s.opens("admin", password, "")
		s.MustShell(mend)
	case strings.Contains(said, "restart of "+machine.ApplianceUnit+" is held until it is"):
		if r := s.Run("systemctl", "restart", machine.ApplianceUnit); r.Code != 4 {
			s.t.Errorf("a restart is not refused: %s", r)
		}
		s.MustShell(mend)
	case strings.Contains(said, "it is as soon as the store takes it"):
		s.MustShell(mend)
	case strings.Contains(said, "NOT recorded (") && strings.HasPrefix(hint, "admin"):
		s.MustShell(mend)
		s.runsDaemon()
		if r := s.Run("shadowsync", "sync", "admin"); r.Code == 4 { // both sides differ, and the state is lost
			_, settle, _ := strings.Cut(r.Stderr, "hint: ")
			settle, _, _ = strings.Cut(settle, " (or ")
			s.MustShell(settle)
		} else if r.Code != 0 {
			s.t.Errorf("the hint's command: %s", r)
		}
	default:
		s.MustShell(mend)
		s.t.Errorf("nothing tells what becomes of it: %q", said)
	}
}
