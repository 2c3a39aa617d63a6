package scenes

import (
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/engine/hook"
	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// storeFolder is the folder of the appliance's store.
var storeFolder = filepath.Dir(machine.StorePath)

// drained limits the wait for a store that is back: the retries come in steps.
const drained = machine.Patience

// scene runs a part of a story on the same machine, as a subtest.
func (s *stage) scene(name string, play func(s *stage)) {
	s.t.Run(name, func(t *testing.T) { play(&stage{T: s.T, t: t}) })
}

// onOwnDisk moves the store to a file system of its own. A test can then make that
// read-only as a whole, as the kernel does after an I/O error.
func (s *stage) onOwnDisk() {
	s.t.Helper()
	s.MustShell("systemctl stop shadowsync.service " + machine.ApplianceUnit + " && cp -a " + storeFolder + " /root/store && " +
		"mount -t tmpfs tmpfs " + storeFolder + " && cp -a /root/store/. " + storeFolder + "/ && " +
		"systemctl start shadowsync.service " + machine.ApplianceUnit)
}

func (s *stage) readOnly() { s.t.Helper(); s.Must("mount", "-o", "remount,ro", storeFolder) }
func (s *stage) writable() { s.t.Helper(); s.Must("mount", "-o", "remount,rw", storeFolder) }

// readOnlyBind is a script that puts a read-only mount over a folder. It is read-only before it comes there: the mount
// namespaces of workers that run take it as it comes, and no remount(2) after that.
func readOnlyBind(folder string) string {
	return "mkdir -p /mnt/ro && mount --bind " + folder + " /mnt/ro && mount --make-private /mnt/ro && mount -o remount,bind,ro /mnt/ro && mount --bind /mnt/ro " + folder + " && umount /mnt/ro"
}

// says asserts that the output contains a text.
func (s *stage) says(printed, text string) {
	s.t.Helper()
	if !strings.Contains(printed, text) {
		s.t.Errorf("it says %q, want %q", printed, text)
	}
}

// notPersisted runs passwd as root while the store cannot take the change. If other tests
// keep the host busy, setting the guard may take longer than passwd waits.
func (s *stage) notPersisted(account, password, reason string) {
	s.t.Helper()
	ask := s.answeredByStore
	if reason == "no answer in time" {
		ask = s.answered
	}
	s.says(ask(account, password), "shadowsync: "+account+": NOT persisted (store: "+reason+"); restart of "+machine.ApplianceUnit+" is held until it is")
}

// heldFor is the part of systemctl status that says that a unit is held back, and why.
func heldFor(whom string) string {
	return "(restart held by shadowsync: " + whom + "; run shadowsync status), or: shadowsync guard release " + machine.ApplianceUnit + " --force"
}

// isHeld asserts that systemd refuses commands that would end the appliance, and says why.
func (s *stage) isHeld(whom string) {
	s.t.Helper()
	pid := s.mainPID()
	for _, verb := range []string{"restart", "stop", "try-restart"} {
		if r := s.Run("systemctl", verb, machine.ApplianceUnit); r.Code != 4 || !strings.Contains(r.Stderr, "refused") {
			s.t.Errorf("systemctl %s is not refused: %s", verb, r)
		}
	}
	if now := s.mainPID(); now != pid || pid == "0" {
		s.t.Errorf("the appliance was process %s and is %s", pid, now)
	}
	s.says(s.Run("systemctl", "status", machine.ApplianceUnit).Stdout, heldFor(whom))
}

// isFree asserts that nothing holds the appliance back, by restarting it.
func (s *stage) isFree() {
	s.t.Helper()
	if shown := s.Must("systemctl", "show", "-P", "Description", machine.ApplianceUnit); strings.Contains(shown, "shadowsync") {
		s.t.Errorf("the unit's description is still %q", shown)
	}
	s.eventually("no shutdown is delayed any longer", machine.Patience, func() bool { return !strings.Contains(s.inhibitors(), "shadowsync") })
	s.restart()
}

func (s *stage) mainPID() string {
	s.t.Helper()
	return strings.TrimSpace(s.Must("systemctl", "show", "-P", "MainPID", machine.ApplianceUnit))
}

func (s *stage) inhibitors() string {
	s.t.Helper()
	return s.Must("systemd-inhibit", "--list", "--no-pager", "--no-legend")
}

// settles waits until, without any command, the change is in the store and the guard is gone.
func (s *stage) settles(account string) {
	s.t.Helper()
	s.eventually("the store holds the OS's value of "+account, drained, func() bool { return s.StoreHash(account) == s.ShadowHash(account) })
	s.eventually("nothing is open and nothing held", drained, func() bool {
		return s.state(account).State == "in-sync" && s.status().Guard == "off" &&
			!s.Guarded()
	})
}

// TestStoreOutages: shadowsync waits for a store that hangs or is missing. If a store cannot
// be read as a store, or refuses the value, that is a conflict, and a person must decide.
func TestStoreOutages(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{})
	s.scene("hung", func(s *stage) {
		s.Must("systemctl", "kill", "-s", "STOP", "shadowsync-store-conductor.service")
		s.notPersisted("admin", "Hung-1-velvet-x", "no answer in time")
		s.isHeld("admin")
		s.settles("admin")
		s.isFree()
		s.opens("admin", "Hung-1-velvet-x", machine.OldPassword)
	})
	s.scene("its file system hung", hungFileSystem)
	s.scene("its folder gone", func(s *stage) {
		s.Must("mv", storeFolder, storeFolder+".away")
		s.notPersisted("admin", "Gone-1-velvet-x", "no such file or directory")
		s.isHeld("admin")
		s.Must("mv", storeFolder+".away", storeFolder)
		s.settles("admin")
		s.isFree()
		s.opens("admin", "Gone-1-velvet-x", "")
	})
	s.scene("half a file", func(s *stage) {
		whole := s.ReadFile(machine.StorePath)
		s.WriteFile(machine.StorePath, whole[:len(whole)/2], 0o600)
		s.isConflict("Half-1-velvet-x", whole, "line ")
	})
	s.scene("an account twice", func(s *stage) {
		whole := s.ReadFile(machine.StorePath)
		s.WriteFile(machine.StorePath, strings.Replace(whole, `"user222"`, `"admin"`, 1), 0o600)
		s.isConflict("Twice-1-velvet-x", whole, `account "admin" is there twice`)
	})
	s.scene("a value that it refuses", func(s *stage) {
		s.Must("usermod", "-p", "$6$salt$"+strings.Repeat("x", 5000), "admin")
		s.eventually("the refusal is known", machine.Patience, func() bool { return s.state("admin").State == "conflict" })
		s.isUnheld("too long")
		s.persists("admin", "Taken-1-velvet-x", "conductor's")
		s.settles("admin")
	})
	s.scene("a password that its format cannot hold", tooLongForBcrypt)
}

// deadServer is a FUSE server that reads every request and answers only the first. A process
// that waits for an answer cannot be killed before the server is (fuse.rst of the kernel's
// documentation).
const deadServer = `
import os, stat, struct, sys
if not os.path.exists("/dev/fuse"):
    os.mknod("/dev/fuse", 0o600 | stat.S_IFCHR, os.makedev(10, 229))
fd = os.open("/dev/fuse", os.O_RDWR)
os.set_inheritable(fd, True)
options = "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other" % fd
os.spawnlp(os.P_WAIT, "mount", "mount", "-i", "-t", "fuse", "-o", options, "dead", sys.argv[1])
unique, = struct.unpack_from("<Q", os.read(fd, 1 << 17), 8)
init = struct.pack("<IIIIHHIIHHI28x", 7, 31, 0, 0, 0, 0, 4096, 1, 0, 0, 0)
os.write(fd, struct.pack("<IiQ", 16 + len(init), 0, unique) + init)
while True:
    os.read(fd, 1 << 17)
`

// hungFileSystem: no deadline of ours can interrupt a system call there. That affects the
// broker, which has to find out who owns the store, the hooks and the tool.
func hungFileSystem(s *stage) {
	server := s.Start("python3", "-c", deadServer, storeFolder)
	s.eventually("the mount", machine.Patience, func() bool { return strings.Contains(s.ReadFile("/proc/mounts"), "dead "+storeFolder+" fuse") })
	s.notPersisted("admin", "Dead-1-velvet-x", "no answer in time")
	s.within("a hook", hook.Limit+slack, func() { s.Run("shadowsync", "hook", "pre-start", "--unit", machine.ApplianceUnit) })
	s.within("status", 10*time.Second, func() {
		if state := s.state("admin"); state.State != "pending" {
			s.t.Errorf("status says %+v", state)
		}
	})
	// By now the broker has asked more than once who owns the store.
	s.notPersisted("user222", "Dead-2-velvet-x", "no answer in time")
	s.isHeld("admin, user222")
	if err := server.Signal(syscall.SIGKILL); err != nil {
		s.t.Fatal(err)
	}
	s.Must("umount", "-l", storeFolder)
	s.settles("admin")
	s.settles("user222")
	s.isFree()
	s.opens("admin", "Dead-1-velvet-x", "")
}

// tooLongForBcrypt: the store's format cannot hold the password. passwd says so, and nothing
// is held back. The same holds for a password that was set past PAM, once a login shows how
// long it is.
func tooLongForBcrypt(s *stage) {
	const file = "/etc/shadowsync/shadowsync.toml"
	before := s.ReadFile(file)
	configure := func(text string) {
		s.WriteFile(file, text, 0o600)
		s.Must("systemctl", "restart", "shadowsync.service")
	}
	s.restart() // the watch over the start of the appliance must go on by the new configuration
	configure(before + "formats = [\"bcrypt\"]\n")
	defer configure(before)
	long := strings.Repeat("Long-1-velvet", 7)
	s.says(s.answered("admin", long), "shadowsync: admin: NOT persisted (conductor refuses it: longer than 72 bytes); choose another password")
	s.isUnheld("longer than 72 bytes")
	s.opens("admin", long, "")

	s.takesInBcrypt("admin", "Short-1-velvet-x")
	if hash := s.StoreHash("admin"); !strings.HasPrefix(hash, "$2b$") {
		s.t.Errorf("the store holds %.4q", hash)
	}
	s.awaitsNobody("admin") // otherwise the list of awaited logins may still be the old one
	s.Must("usermod", "-p", s.hashed(long), "admin")
	s.awaits("admin")
	s.opens("admin", long, "")
	s.eventually("the refusal is known", machine.Patience, func() bool { return s.state("admin").State == "conflict" })
	s.isUnheld("longer than 72 bytes")
	s.takesInBcrypt("admin", "Short-2-velvet-x")
	s.eventually("the watch over the start is older than any other hook gets", machine.Patience, func() bool {
		age := s.Shell("ps -o etimes= -p $(systemctl show -P MainPID shadowsync-settle@" + machine.ApplianceUnit + ")").Stdout
		seconds, err := strconv.Atoi(strings.TrimSpace(age))
		return err == nil && seconds > int(hook.Limit/time.Second)
	})
}

// takesInBcrypt runs passwd as root with a password that such a store can hold. If other tests
// keep the host busy, its hash may take longer than the second that passwd has for it; then the
// store gets the hash a little later, without a command.
func (s *stage) takesInBcrypt(account, password string) {
	s.t.Helper()
	said := s.answered(account, password)
	if strings.Contains(said, "made at the next login") {
		s.t.Log("the store's hash took longer than its second")
		s.eventually("it comes by itself", machine.Patience, func() bool { return s.state(account).State == "in-sync" })
		return
	}
	s.says(said, "persisted in conductor's credential store")
}

// isConflict: the store cannot be read as a store. passwd says so, nothing is held back, and
// the conflict is settled when the file is whole again.
func (s *stage) isConflict(password, whole, why string) {
	s.t.Helper()
	s.says(s.passwd("admin", password), "shadowsync: admin: NOT persisted (conflict: store: "+why)
	s.isUnheld(why)
	if r := s.Run("shadowsync", "status", "--check"); r.Code != 3 {
		s.t.Errorf("status --check: %s", r)
	}
	s.WriteFile(machine.StorePath, whole, 0o600)
	s.Must("shadowsync", "sync")
	s.settles("admin")
	s.isFree()
	s.opens("admin", password, "")
}

// isUnheld asserts that there is an open conflict, and that nothing is held back.
func (s *stage) isUnheld(reason string) {
	s.t.Helper()
	if a := s.state("admin"); a.State != "conflict" || a.Reason == nil || !strings.Contains(*a.Reason, reason) {
		s.t.Errorf("status says %+v, want a conflict because of %q", a, reason)
	}
	if guard := s.status().Guard; guard != "off" {
		s.t.Errorf("the guard is %s", guard)
	}
	if s.Guarded() {
		s.t.Error("systemd holds the unit")
	}
}
