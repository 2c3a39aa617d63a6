package sessions

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/detect/origin"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/systemd"
)

const admin, other = 2001, 2002

func noSubUIDs() origin.SubUIDs { return origin.SubUIDs{} }

func subUIDsOf(t *testing.T, subuid, passwd string) origin.SubUIDs {
	t.Helper()
	root := t.TempDir()
	err := errors.Join(os.Mkdir(filepath.Join(root, "etc"), 0o755),
		os.WriteFile(filepath.Join(root, "etc/subuid"), []byte(subuid), 0o644),
		os.WriteFile(filepath.Join(root, "etc/passwd"), []byte(passwd), 0o644))
	if err != nil {
		t.Fatal(err)
	}
	return origin.ReadSubUIDs(root)
}

// table is a process table; a higher pid means a younger process.
type table []origin.Process

func (t *table) add(pid, parent, uid int, comm, cgroup, unit, session string) {
	*t = append(*t, origin.Process{
		PID: pid, Parent: parent, StartTicks: uint64(pid), Comm: comm, UID: &uid, EUID: &uid, Cgroup: cgroup, Unit: unit, Session: session,
	})
}

// inSession puts a process into a logind session, inUnit into a system unit.
func (t *table) inSession(pid, parent, uid int, comm, id string) {
	t.add(pid, parent, uid, comm, "/user.slice/session-"+id+".scope", "session-"+id+".scope", id)
}

func (t *table) inUnit(pid, parent, uid int, comm, unit string) {
	t.add(pid, parent, uid, comm, "/system.slice/"+unit, unit, "")
}

func (t *table) inManager(pid, parent, uid int, comm string) {
	unit := userManager(uid)
	t.add(pid, parent, uid, comm, "/user.slice/"+unit+"/app.slice/x.scope", unit, "")
}

func login(id string, uid int, opened bool) systemd.Login {
	return systemd.Login{Session: shadowsync.Session{ID: id, Kind: "sshd"}, UID: uid, Opened: opened}
}

var logins = map[string]systemd.Login{
	"1": login("1", admin, true), "2": login("2", other, true), "3": login("3", admin, false), "4": login("4", admin, true),
}

func town() table {
	t := table{}
	t.add(1, 0, 0, "systemd", "/init.scope", "init.scope", "")
	t.inUnit(10, 1, admin, "app", "128T.service")
	t.inUnit(11, 10, admin, "sh", "128T.service")
	t.inUnit(12, 1, admin, "container", "docker-abc.scope")
	t.inSession(20, 1, 0, "sshd", "1")
	t.inSession(21, 20, admin, "bash", "1")
	t.inSession(22, 21, 0, "sudo", "1")
	t.inSession(30, 1, 0, "sshd", "2")
	t.inSession(31, 30, other, "bash", "2")
	t.inSession(32, 31, 0, "su", "2")
	t.inSession(33, 32, admin, "bash", "2")
	t.inSession(34, 33, 0, "bash", "2") // sudo -i in the su shell
	t.inSession(40, 1, admin, "job", "3")
	t.inManager(50, 1, admin, "systemd")
	t.inManager(51, 50, admin, "(sd-pam)")
	t.inManager(52, 50, admin, "tmux")
	t.inManager(53, 1, admin, "tmux")      // started in a session, moved there by systemd-run, and left alone
	t.inManager(54, 50, admin, "(sd-pam)") // or at least it claims that name
	t.inManager(60, 1, other, "systemd")
	t.inUnit(70, 1, 0, "sshd", "ssh.service")
	t.inUnit(71, 70, admin, "bash", "ssh.service")
	t.inSession(80, 1, 0, "sshd", "4")
	t.inSession(81, 80, admin, "pcli", "4")
	t.inSession(90, 1, admin, "tmux", "9") // of a session that logind has forgotten
	t.add(95, 0, admin, "sh", "/", "", "")
	return t
}

func TestFind(t *testing.T) {
	at := func(pid int) origin.Process { return origin.Process{PID: pid, StartTicks: uint64(pid)} }
	tests := []struct {
		name     string
		keep     Keep
		pids     []int
		sessions []string
		manager  bool
	}{
		{"nothing kept", Keep{}, []int{21, 22, 33, 34, 50, 51, 52, 53, 54, 71, 81, 90, 95}, []string{"1", "4", "p33", "p71", "p90", "p95"}, true},
		{"own session kept", Keep{Session: "1"}, []int{33, 34, 52, 53, 54, 71, 81, 90, 95}, []string{"4", "p33", "p71", "p90", "p95"}, false},
		{"another's session kept", Keep{Session: "2"}, []int{21, 22, 50, 51, 52, 53, 54, 71, 81, 90, 95}, []string{"1", "4", "p71", "p90", "p95"}, true},
		{"process in own session kept", Keep{Process: at(81)}, []int{21, 22, 33, 34, 52, 53, 54, 71, 90, 95}, []string{"1", "p33", "p71", "p90", "p95"}, false},
		{"process in another's session kept", Keep{Process: at(33)}, []int{21, 22, 50, 51, 52, 53, 54, 71, 81, 90, 95}, []string{"1", "4", "p71", "p90", "p95"}, true},
		{"pid of another meanwhile", Keep{Process: origin.Process{PID: 33, StartTicks: 7}}, []int{21, 22, 33, 34, 50, 51, 52, 53, 54, 71, 81, 90, 95}, []string{"1", "4", "p33", "p71", "p90", "p95"}, true},
		{"process in own session, gone", Keep{Process: origin.Process{PID: 82, Parent: 80, StartTicks: 82, Session: "4"}}, []int{21, 22, 33, 34, 52, 53, 54, 71, 90, 95}, []string{"1", "p33", "p71", "p90", "p95"}, false},
		{"process in another's session, gone", Keep{Process: origin.Process{PID: 35, Parent: 33, StartTicks: 35, Session: "2"}}, []int{21, 22, 50, 51, 52, 53, 54, 71, 81, 90, 95}, []string{"1", "4", "p71", "p90", "p95"}, true},
		{"process gone, and its parent's pid another's", Keep{Process: origin.Process{PID: 35, Parent: 95, StartTicks: 35}}, []int{21, 22, 33, 34, 50, 51, 52, 53, 54, 71, 81, 90, 95}, []string{"1", "4", "p33", "p71", "p90", "p95"}, true},
		{"both", Keep{Session: "1", Process: at(81)}, []int{33, 34, 52, 53, 54, 71, 90, 95}, []string{"p33", "p71", "p90", "p95", userManager(admin)}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene(admin, logins, town(), tt.keep, noSubUIDs)
			var pids []int
			for _, p := range s.mine {
				pids = append(pids, p.PID)
			}
			if !slices.Equal(pids, tt.pids) {
				t.Errorf("to end: %v, want %v", pids, tt.pids)
			}
			var ids []string
			for _, session := range s.list() {
				ids = append(ids, session.ID)
			}
			slices.Sort(ids)
			if !slices.Equal(ids, tt.sessions) {
				t.Errorf("sessions %q, want %q", ids, tt.sessions)
			}
			if s.hasManager() != tt.manager {
				t.Errorf("its manager is stopped: %v", s.hasManager())
			}
		})
	}
}

// If systemd does not keep everything in units, a service looks like a shell: nothing outside a
// unit is touched.
func TestNoSystemd(t *testing.T) {
	all := table{}
	all.add(1, 0, 0, "tini", "/", "", "")
	all.add(2, 1, admin, "app", "/", "", "")
	if s := newScene(admin, nil, all, Keep{}, noSubUIDs); len(s.mine) > 0 {
		t.Errorf("would end %v", s.mine)
	}
}

// TestNamespaces: a process with the account's uid as one of its four uids, or in a user namespace
// of the account, belongs to the account.
func TestNamespaces(t *testing.T) {
	sub := subUIDsOf(t, "admin:100000:65536\nsomebody:200000:65536\nadmin:300000:10\nsomebody:300000:10\n", "admin:x:2001:1::/:\nsomebody:x:2002:1::/:\n")
	one := func(uid int) []origin.Extent { return []origin.Extent{{Inside: 0, Outside: uid, Count: 1}} }
	id := func(uid int) *int { return &uid }
	for name, c := range map[string]struct {
		p    origin.Process
		want bool
	}{
		"saved uid":                         {origin.Process{UID: id(100004), EUID: id(100004), SavedUID: id(admin), FileUID: id(100004)}, true},
		"uid of file access":                {origin.Process{UID: id(5), EUID: id(5), SavedUID: id(5), FileUID: id(admin)}, true},
		"subordinate, namespace maps it":    {origin.Process{UID: id(100004), EUID: id(100004), Namespace: append(one(admin), origin.Extent{Inside: 1, Outside: 100000, Count: 65536})}, true},
		"subordinate alone":                 {origin.Process{UID: id(100004), EUID: id(100004), Namespace: []origin.Extent{{Inside: 0, Outside: 100000, Count: 65536}}}, true},
		"a namespace within a namespace":    {origin.Process{UID: id(100004), EUID: id(100004), Namespace: []origin.Extent{{Inside: 0, Outside: 100004, Count: 1}}}, true},
		"another's namespace":               {origin.Process{UID: id(200004), EUID: id(200004), Namespace: append(one(other), origin.Extent{Inside: 1, Outside: 200000, Count: 65536})}, false},
		"a range of two accounts":           {origin.Process{UID: id(300004), EUID: id(300004), Namespace: []origin.Extent{{Inside: 0, Outside: 300000, Count: 10}}}, false},
		"a range of two, and its own uid":   {origin.Process{UID: id(300004), EUID: id(300004), Namespace: append(one(admin), origin.Extent{Inside: 1, Outside: 300000, Count: 10})}, true},
		"more than the account's range":     {origin.Process{UID: id(100004), EUID: id(100004), Namespace: []origin.Extent{{Inside: 0, Outside: 99999, Count: 65536}}}, false},
		"root that entered the namespace":   {origin.Process{UID: id(0), EUID: id(0), Namespace: one(admin)}, false},
		"another's uid in our namespace":    {origin.Process{UID: id(other), EUID: id(other)}, false},
		"subordinate uid without namespace": {origin.Process{UID: id(100004), EUID: id(100004)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			all := table{}
			all.add(1, 0, 0, "systemd", "/init.scope", "init.scope", "")
			c.p.PID, c.p.Parent, c.p.StartTicks, c.p.Cgroup, c.p.Unit, c.p.Session = 9, 1, 9, "/user.slice/session-1.scope", "session-1.scope", "1"
			s := newScene(admin, map[string]systemd.Login{"1": login("1", other, true)}, append(all, c.p), Keep{}, func() origin.SubUIDs { return sub })
			if got := len(s.mine) == 1; got != c.want {
				t.Errorf("taken for the account's: %v", got)
			}
		})
	}
}

func TestLeftAlone(t *testing.T) {
	all := table{}
	all.add(1, 0, 0, "systemd", "/init.scope", "init.scope", "")
	all.inUnit(10, 1, 0, "nightly.sh", "nightly.service")
	all.inSession(11, 10, 0, "su", "c1")
	all.inSession(12, 11, admin, "sleep", "c1")
	all.inSession(13, 1, admin, "orphan", "c2")
	all.inSession(14, 1, other, "sleep", "c3")
	job := func(id string, uid int) systemd.Login {
		return systemd.Login{Session: shadowsync.Session{ID: id, Kind: "su"}, UID: uid, Background: true}
	}
	s := newScene(admin, map[string]systemd.Login{"c1": job("c1", admin), "c2": job("c2", admin), "c3": job("c3", other), "c4": job("c4", admin)}, all, Keep{}, noSubUIDs)
	var texts []string
	for _, l := range s.leftAlone() {
		texts = append(texts, l.Text())
	}
	want := []string{"background session c1 (su, started by nightly.sh in nightly.service) is left alone", "background session c2 (su) is left alone"}
	if !slices.Equal(texts, want) || len(s.mine) > 0 {
		t.Errorf("got %q, would end %v", texts, s.mine)
	}
}

func TestLingering(t *testing.T) {
	all := table{}
	all.add(1, 0, 0, "systemd", "/init.scope", "init.scope", "")
	all.inManager(50, 1, admin, "systemd")
	all.inManager(52, 50, admin, "tmux")
	list := newScene(admin, nil, all, Keep{}, noSubUIDs).list()
	if len(list) != 1 || list[0].ID != userManager(admin) || list[0].Kind != "manager" {
		t.Errorf("told as %+v", list)
	}
}

// TestKept: a process that made a change before it was in any session is kept, but not another
// process that has its pid now.
func TestKept(t *testing.T) {
	self, now := os.Getpid(), time.Now()
	made := func(keep string, pid int, at time.Time) shadowsync.Logout {
		return shadowsync.Logout{Keep: keep, Origin: shadowsync.Origin{PID: pid, At: at}}
	}
	for _, tt := range []struct {
		name   string
		logout shadowsync.Logout
		want   Keep
	}{
		{"a session", made("7", self, now), Keep{Session: "7"}},
		{"nothing", made("", self, now), Keep{}},
		{"a process", made(shadowsync.ProcessSession(self), self, now), Keep{Process: origin.FromPID(self)}},
		{"a younger one", made(shadowsync.ProcessSession(self), self, now.Add(-24*time.Hour)), Keep{}},
		{"one that is gone", made(shadowsync.ProcessSession(1<<22+1), 1<<22+1, now), Keep{}},
	} {
		if got := kept(tt.logout); got.Session != tt.want.Session || got.Process.PID != tt.want.Process.PID || got.Process.StartTicks != tt.want.Process.StartTicks {
			t.Errorf("%s: kept %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

// TestLeaders: nobody waits for the leader of a session in which all processes of the account have
// ended. One that has not started any may be about to, and root's shell does not end by itself.
func TestLeaders(t *testing.T) {
	led := map[string]systemd.Login{}
	for id, leader := range map[string]int{"1": 20, "2": 30, "3": 40} {
		l := login(id, admin, true)
		l.Leader = leader
		led[id] = l
	}
	look := func(earlier *scene, running ...int) *scene {
		all := table{}
		all.inSession(20, 1, 0, "sshd", "1")
		all.inSession(21, 20, admin, "bash", "1")
		all.inSession(30, 1, 0, "sshd", "2")
		all.inSession(31, 30, admin, "bash", "2")
		all.inSession(32, 1, 0, "bash", "2")
		all.inSession(40, 1, 0, "sshd", "3")
		all.inSession(41, 40, admin, "bash", "3")
		all = slices.DeleteFunc(all, func(p origin.Process) bool { return !slices.Contains(running, p.PID) })
		s := newScene(admin, led, all, Keep{}, noSubUIDs)
		if earlier != nil {
			s.follow(earlier)
		}
		return s
	}
	var s *scene
	for _, step := range []struct {
		name     string
		running  []int
		guests   []int
		visitors bool
		sessions []string
	}{
		{"two serve, one opens", []int{20, 21, 30, 31, 32, 40}, []int{20, 30, 32, 40}, true, []string{"1", "2", "3"}},
		{"the account's have ended", []int{20, 30, 32, 40}, []int{32, 40}, true, []string{"2", "3"}},
		{"the third has opened", []int{20, 30, 40, 41}, []int{40}, false, []string{"3"}},
		{"and ended", []int{20, 30, 40}, nil, false, nil},
	} {
		s = look(s, step.running...)
		var guests []int
		for _, p := range s.guests {
			guests = append(guests, p.PID)
		}
		var ids []string
		for _, session := range s.list() {
			ids = append(ids, session.ID)
		}
		slices.Sort(ids)
		if !slices.Equal(guests, step.guests) || s.visitors() != step.visitors || !slices.Equal(ids, step.sessions) || s.open() != (len(ids) > 0) {
			t.Errorf("%s: guests %v, visitors %v, sessions %q", step.name, guests, s.visitors(), ids)
		}
	}
}

// TestStays: a session that the kept process opens during the look stays, whether logind or the
// process table shows it first; sessions with other processes do not stay.
func TestStays(t *testing.T) {
	all := town()
	all.inSession(98, 70, 0, "login", "8") // logind does not know it yet
	s := newScene(admin, logins, all, Keep{}, noSubUIDs)
	held := func(pid int) Keep { return Keep{Process: origin.Process{PID: pid, StartTicks: uint64(pid)}} }
	for _, tt := range []struct {
		name string
		id   string
		keep Keep
		want bool
	}{
		{"nothing is kept", "1", Keep{}, false},
		{"nothing is kept, and it is empty", "5", Keep{}, false},
		{"another's", "1", held(70), false},
		{"empty", "5", held(70), true},
		{"the process's own", "8", held(98), true},
	} {
		if got := s.stays(tt.id, tt.keep); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
