package sessions

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/detect/origin"
	"github.com/shadowsync/shadowsync/internal/test/eventually"
	"github.com/shadowsync/shadowsync/internal/test/machine"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/systemd"
)

const insideVariable = "SHADOWSYNC_INSIDE_MACHINE"

// inside reports whether the test runs on a test machine; if not, it starts the test on one of each
// release.
func inside(t *testing.T) bool {
	t.Helper()
	if os.Getenv(insideVariable) != "" {
		return true
	}
	t.Parallel()
	machine.Need(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, release := range machine.Releases {
		t.Run(string(release), func(t *testing.T) {
			t.Parallel()
			m := machine.Boot(t, release)
			m.CopyIn(self, "/usr/local/bin/sessions.test", 0o755)
			run := m.Env(insideVariable+"=1").Within(5*machine.Patience).Run("/usr/local/bin/sessions.test", "-test.v", "-test.run=^"+t.Name()[:strings.Index(t.Name(), "/")]+"$")
			if run.Code != 0 || !strings.Contains(run.Stdout, "--- PASS") {
				t.Errorf("on the machine: %s", run)
			}
		})
	}
	return false
}

func must(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), machine.Patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// unit starts a script in its own unit; if pam is set, logged in with PAM.
func unit(t *testing.T, name, user, class, script string) {
	t.Helper()
	args := []string{"systemd-run", "--quiet", "--unit=" + name, "-p", "User=" + user}
	if class != "" {
		args = append(args, "-p", "PAMName=login", "-p", "Environment=XDG_SESSION_CLASS="+class)
	}
	must(t, append(args, "sh", "-c", script+"; :")...)
}

// alive returns which of the marked sleeps run.
func alive(t *testing.T) []string {
	t.Helper()
	var marks []string
	all, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range all {
		line, _ := os.ReadFile(filepath.Join("/proc", entry.Name(), "cmdline"))
		// A process that changes its own name writes it as one string.
		args := strings.Split(strings.ReplaceAll(strings.TrimRight(string(line), "\x00"), "\x00", " "), " ")
		if filepath.Base(args[0]) == "sleep" && len(args) > 1 {
			marks = append(marks, args[1])
		}
	}
	slices.Sort(marks)
	return marks
}

func expectAlive(t *testing.T, want ...string) {
	t.Helper()
	slices.Sort(want)
	var got []string
	defer func() {
		if !slices.Equal(got, want) {
			t.Logf("alive: %q, want %q", got, want)
		}
	}()
	eventually.Holds(t, "these alone are alive", func() bool { got = alive(t); return slices.Equal(got, want) })
}

// The marks: 1001 and 1002 are admin's logins, the second ignores SIGTERM; 1003 is a su shell in
// another user's session, with a root shell (1004); 1010 and 1011 are subordinate uids in a user
// namespace of admin's, left behind by a su shell in another session (1012); 1005 lingers; 1006 is
// admin's cron job; 1007 is a service that runs as admin; 1008 is another user's login; 1009 is
// another user's lingering service.
func populate(t *testing.T) {
	must(t, "useradd", "-m", "--uid", fmt.Sprint(admin), "admin")
	must(t, "useradd", "-m", "--uid", fmt.Sprint(other), "somebody")
	for mark, user := range map[string]string{"1005": "admin", "1009": "somebody"} {
		linger(t, user, mark)
	}
	unit(t, "login1", "admin", "user", "sleep 1001")
	unit(t, "login2", "admin", "user", "trap '' TERM HUP; sleep 1002; sleep 1002")
	// root in another user's session, as after sudo: su(1) opens no session of its own there.
	unit(t, "login3", "root", "user", "setsid setpriv --reuid=2001 --clear-groups sh -c 'trap \"\" TERM; sleep 1003'")
	unit(t, "cronjob", "admin", "background", "sleep 1006")
	unit(t, "service", "admin", "", "sleep 1007")
	unit(t, "login4", "somebody", "user", "sleep 1008")
	escape(t)
	expectAlive(t, "1001", "1002", "1003", "1005", "1006", "1007", "1008", "1009", "1010", "1011", "1012")
}

// escape makes admin leave two processes behind that no longer show admin's uid in ps(1): one keeps
// it as the saved uid, the other has lost it, but could take it on again.
func escape(t *testing.T) {
	t.Helper()
	if err := os.WriteFile("/etc/subuid", []byte("admin:100000:65536\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	// 112 is setsid(2), 117 setresuid(2). The process gives itself the name that alive looks for.
	const leave = `perl -e '$0 = "sleep %s"; fork and exit; syscall(112); syscall(117, %s); sleep 3600'`
	script := "echo $$ >/tmp/inside; until [ \"$(id -u)\" = 0 ]; do sleep 0.1; done\n" +
		fmt.Sprintf(leave, "1010", "5, 5, 5") + "\n" + fmt.Sprintf(leave, "1011", "5, 5, 0") + "\n"
	if err := os.WriteFile("/tmp/leave", []byte(script), 0o644); err != nil {
		t.Fatal(err)
	}
	// From a su shell in another user's session, which logind does not end.
	unit(t, "login5", "root", "user", "setsid setpriv --reuid=2001 --clear-groups unshare --user sh /tmp/leave; sleep 1012")
	var inside []byte
	eventually.Holds(t, "the shell's pid", func() bool {
		inside, _ = os.ReadFile("/tmp/inside")
		return strings.HasSuffix(string(inside), "\n")
	})
	// As newuidmap(1) does for "unshare --map-auto --map-root-user".
	uidMap := filepath.Join("/proc", strings.TrimSpace(string(inside)), "uid_map")
	if err := os.WriteFile(uidMap, []byte("0 2001 1\n1 100000 65536\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// linger gives a user's own systemd a service, and makes it run without a login.
func linger(t *testing.T, user, mark string) {
	t.Helper()
	units := "/home/" + user + "/.config/systemd/user"
	must(t, "mkdir", "-p", units+"/default.target.wants")
	service := "[Service]\nExecStart=/bin/sleep " + mark + "\n"
	if err := os.WriteFile(units+"/mark.service", []byte(service), 0o644); err != nil {
		t.Fatal(err)
	}
	must(t, "ln", "-s", units+"/mark.service", units+"/default.target.wants/")
	must(t, "loginctl", "enable-linger", user)
}

func TestEndOnMachine(t *testing.T) {
	if !inside(t) {
		return
	}
	populate(t)
	account := shadowsync.Account{Name: "admin", UID: admin}
	ctx := t.Context()
	keep := sessionOf(t, "login1")

	list, err := Sessions{}.List(ctx, account)
	if err != nil || len(list) != 5 {
		t.Errorf("listed %+v, %v", list, err)
	}
	start := time.Now()
	ended, survivors, err := Sessions{}.End(ctx, account, shadowsync.Logout{Keep: keep})
	t.Logf("all but one in %v: %+v", time.Since(start), ended)
	if err != nil || len(survivors) > 0 || time.Since(start) > 10*time.Second {
		t.Errorf("survived %+v, %v, after %v", survivors, err, time.Since(start))
	}
	expectAlive(t, "1001", "1006", "1007", "1008", "1009", "1012")

	start = time.Now()
	ended, survivors, err = Sessions{}.End(ctx, account, shadowsync.Logout{})
	t.Logf("the rest in %v: %+v", time.Since(start), ended)
	if err != nil || len(ended) != 1 || len(survivors) > 0 {
		t.Errorf("ended %+v, survived %+v, %v", ended, survivors, err)
	}
	expectAlive(t, "1006", "1007", "1008", "1009", "1012")
	if left, err := (Sessions{}).ListLeftAlone(ctx, account); err != nil || len(left) != 1 || left[0].Kind != "login" {
		t.Errorf("left alone: %+v, %v, want the background session of cronjob", left, err)
	}
	if ended, survivors, err := (Sessions{}).End(ctx, shadowsync.Account{Name: "root"}, shadowsync.Logout{}); err != nil || len(ended)+len(survivors) > 0 {
		t.Errorf("root's: %+v, %+v, %v", ended, survivors, err)
	}
}

func TestHeldProcessOnMachine(t *testing.T) {
	if !inside(t) {
		return
	}
	populate(t)
	account := shadowsync.Account{Name: "admin", UID: admin}
	held := origin.Process{}
	all, err := origin.Scan()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		if p.Comm == "sleep" && *p.UID == admin && p.Session == sessionOf(t, "login3") {
			held = p
		}
	}
	if held.PID == 0 {
		t.Fatal("no su shell")
	}
	if _, survivors, err := (Sessions{}).EndBut(t.Context(), account, Keep{Process: held}); err != nil || len(survivors) > 0 {
		t.Errorf("survived %+v, %v", survivors, err)
	}
	expectAlive(t, "1003", "1006", "1007", "1008", "1009", "1012")
	if _, survivors, err := (Sessions{}).EndBut(t.Context(), account, Keep{}); err != nil || len(survivors) > 0 {
		t.Errorf("survived %+v, %v", survivors, err)
	}
	expectAlive(t, "1006", "1007", "1008", "1009", "1012")
}

func sessionOf(t *testing.T, unit string) string {
	t.Helper()
	pid, err := strconv.Atoi(must(t, "systemctl", "show", "--value", "-p", "MainPID", unit))
	if err != nil {
		t.Fatal(err)
	}
	id, err := systemd.Logind{}.SessionOf(t.Context(), pid)
	if err != nil || id == "" {
		t.Fatalf("%s has no session: %v", unit, err)
	}
	return id
}
