package scenes

import (
	"strings"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

func (f passwordFile) folder() string { return f.path[:strings.LastIndexByte(f.path, '/')] }

// isHeld asserts that the change is pending, and the server guarded.
func (f passwordFile) isHeld(s *stage) {
	s.t.Helper()
	if a := f.status(s); a.Accounts[0].State != "pending" || a.Guard != "on" {
		s.t.Errorf("%+v", a)
	}
}

// isFree waits until nothing holds the server back: an earlier trouble's guard is lifted a moment after it.
func (f passwordFile) isFree(s *stage) {
	s.t.Helper()
	s.eventually("nothing is guarded", machine.Patience, func() bool { return f.status(s).Guard == "off" })
}

// untouched returns an assertion that the file is as it is now, and that its folder has no other file in it.
func (f passwordFile) untouched(s *stage) func() {
	look := func() string {
		return s.MustShell("ls -A " + f.folder() + " && stat -c '%i %y' " + f.path + " && cat " + f.path)
	}
	before := look()
	return func() {
		s.t.Helper()
		if now := look(); now != before {
			s.t.Errorf("the folder and the file were\n%sand are\n%s", before, now)
		}
	}
}

// readOnly: the change is pending, the server is guarded, and the change drains by itself.
func (f passwordFile) readOnly(s *stage) {
	s.MustShell(readOnlyBind(f.folder()))
	f.said(s, "While-read-only-5", "NOT persisted (store: read-only file system); restart of "+f.unit+" is held")
	f.isHeld(s)
	s.Must("umount", f.folder())
	f.inSync(s)
	f.serves(s, "While-read-only-5", "While-stopped-4")
}

// fullFolder is a script that puts a full file system over a folder, with the files that are in it.
func fullFolder(folder string) string {
	return "mkdir -p /mnt/full && mount -t tmpfs -o size=8m,mode=755 tmpfs /mnt/full && chown --reference=" + folder + " /mnt/full && cp -a " + folder + "/. /mnt/full/ && " +
		"{ dd if=/dev/zero of=/mnt/full/fill bs=4k; mount --bind /mnt/full " + folder + "; }"
}

func (f passwordFile) full(s *stage) {
	s.MustShell(fullFolder(f.folder()))
	untouched := f.untouched(s)
	f.said(s, "While-full-6", "NOT persisted (store: no space left on device); restart of "+f.unit+" is held")
	f.isHeld(s)
	untouched()
	s.Must("rm", f.folder()+"/fill")
	f.inSync(s)
	s.MustShell("umount " + f.folder() + " && cp -a /mnt/full/. " + f.folder() + "/ && umount /mnt/full")
	f.inSync(s)
	f.serves(s, "While-full-6", "While-read-only-5")
}

// failing: what is written does not get to the disk, first beyond a quota and then because of I/O errors. No machine has
// such a disk, so that fsync(2) fails in the broker's worker alone.
func (f passwordFile) failing(s *stage) {
	s.MustShell("systemctl stop 'shadowsync-settle@*'") // the watch over the start has a worker of its own
	worker := "shadowsync-store-" + f.account + ".service"
	drop := "/run/systemd/system/" + worker + ".d"
	again := " && systemctl daemon-reload && { systemctl stop " + worker + "; true; }"
	untouched, last := f.untouched(s), ""
	for _, failure := range [][2]string{{"EDQUOT", "disk quota exceeded"}, {"EIO", "input/output error"}} {
		errno, why := failure[0], failure[1]
		s.MustShell("mkdir -p " + drop + " && printf '[Service]\nSystemCallFilter=~fsync:" + errno + "\n' >" + drop + "/failing.conf" + again)
		last = "While-failing-" + errno + "-7"
		f.said(s, last, "NOT persisted (store: "+why+"); restart of "+f.unit+" is held")
		f.isHeld(s)
		untouched()
	}
	s.MustShell("rm -r " + drop + again)
	f.inSync(s)
	f.serves(s, last, "While-full-6")
}

const stranger = "54321:54322" // they exist nowhere

// odd: the file is of the owner that it has on other machines, and then of a stranger. In a folder that only the server
// may enter, a stranger has no access, and neither has the worker.
func (f passwordFile) odd(s *stage) {
	if f.elsewhere != "" {
		f.give(s, f.elsewhere, "640")
		f.staysOf(s, f.elsewhere, "640")
	}
	f.give(s, stranger, "644")
	if f.private {
		s.passwd(f.account, "Of-"+stranger)
		s.eventually("it is refused", machine.Patience, func() bool { return f.status(s).Accounts[0].State == "pending" })
		f.give(s, f.owner, f.mode)
		f.inSync(s)
		f.serves(s, "Of-"+stranger, formerPassword)
		return
	}
	f.staysOf(s, stranger, "644")
	f.give(s, f.owner, f.mode)
	f.inSync(s)
}

func (f passwordFile) give(s *stage, owner, mode string) {
	s.t.Helper()
	s.MustShell("chown " + owner + " " + f.path + " && chmod " + mode + " " + f.path)
}

// staysOf: the file is of the same owner after passwd, and after the server's restart, and the server takes the password.
func (f passwordFile) staysOf(s *stage, owner, mode string) {
	s.t.Helper()
	s.passwd(f.account, "Of-"+owner) // a worker with the former owner's rights may have been started a moment ago
	f.inSync(s)
	f.serves(s, "Of-"+owner, formerPassword)
	f.belongsTo(s, owner, mode)
	f.isFree(s)
	s.Must("systemctl", "restart", f.unit)
	f.serves(s, "Of-"+owner, formerPassword)
	f.belongsTo(s, owner, mode)
}

// notReloaded: what is written and not in force is pending, and comes into force when a reload works.
func (f passwordFile) notReloaded(s *stage) {
	for _, reload := range []string{"/bin/false", "/bin/sleep 1000"} {
		s.MustShell(reloadingBy(reload, f.unit))
		password := "Not-reloaded" + strings.ReplaceAll(reload, "/", "-") + "-8"
		f.said(s, password, "written to "+f.account+"'s credential store; NOT in force (reload of "+f.unit+" failed: ")
		s.eventually("it is written and not in force", machine.Patience, func() bool { // on a busy host an attempt may get no answer of the store
			a := f.status(s).Accounts[0]
			return a.State == "pending" && a.Reason != nil && strings.HasPrefix(*a.Reason, "written; not in force: reload of ")
		})
		f.isFree(s)
		s.MustShell(reloadingWell(f.unit))
		f.inSync(s)
		f.serves(s, password, formerPassword)
	}
}

// reloadingBy is a script that replaces what reloads a unit, and reloadingWell one that takes that back. systemd ends no reload
// by itself meanwhile.
func reloadingBy(command, unit string) string {
	folder := "/run/systemd/system/" + unit + ".d"
	return "mkdir -p " + folder + " && printf '[Service]\nTimeoutStartSec=infinity\nExecReload=\nExecReload=" + command + "\n' >" + folder + "/reload.conf && systemctl daemon-reload"
}

func reloadingWell(unit string) string {
	return "rm -r /run/systemd/system/" + unit + ".d && systemctl daemon-reload && systemctl kill --kill-whom=control " + unit + "; true"
}
