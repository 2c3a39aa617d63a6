package systemd

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/test/eventually"
	"github.com/shadowsync/shadowsync/shadowsync"
)

const adminUID = 2001

// logIn opens a real session of a class, with a unit that uses PAM like login(1).
func logIn(t *testing.T, user, name, class, script string) (session string) {
	t.Helper()
	must(t, "systemd-run", "--quiet", "--unit="+name, "-p", "User="+user, "-p", "PAMName=login",
		"-p", "Environment=XDG_SESSION_CLASS="+class, "sh", "-c", script)
	eventually.Holds(t, "the session of "+name, func() bool {
		pid, _ := strconv.Atoi(show(t, name, "MainPID"))
		id, err := Logind{}.SessionOf(within(t, patience), pid)
		if err != nil {
			t.Fatal(err)
		}
		session = id
		return id != ""
	})
	return session
}

func ids(sessions []shadowsync.Session) []string {
	list := []string{}
	for _, s := range sessions {
		list = append(list, s.ID)
	}
	slices.Sort(list)
	return list
}

func expectLogins(t *testing.T, uid int, want ...string) {
	t.Helper()
	sessions, err := Logind{}.List(within(t, patience), uid)
	slices.Sort(want)
	if err != nil || !slices.Equal(ids(sessions), append([]string{}, want...)) {
		t.Errorf("logins of %d: %q, %v; want %q", uid, ids(sessions), err, want)
	}
}

func TestLogindOnMachine(t *testing.T) {
	if !inside(t) {
		return
	}
	must(t, "useradd", "-m", "--uid", fmt.Sprint(adminUID), "admin")
	must(t, "useradd", "-m", "somebody")
	admin := shadowsync.Account{Name: "admin", UID: adminUID}
	begun := time.Now().Add(-time.Second)
	const idle, stubborn = "sleep 1000", "trap '' TERM HUP; while :; do sleep 0.1; done"

	first := logIn(t, "admin", "first", "user", idle)
	second := logIn(t, "admin", "second", "user", stubborn)
	keep := logIn(t, "admin", "keep", "user", idle)
	cron := logIn(t, "admin", "cronjob", "background", idle)
	other := logIn(t, "somebody", "other", "user", idle)
	root := logIn(t, "root", "root", "user", idle)
	must(t, "systemd-run", "--quiet", "--unit=service", "-p", "User=admin", "sleep", "1000")

	expectLogins(t, adminUID, first, second, keep)
	sessions, _ := Logind{}.List(within(t, patience), adminUID)
	if len(sessions) == 0 {
		t.Fatal("no logins")
	}
	if s := sessions[0]; s.ID != first || s.Kind != "login" || s.Since.Before(begun) || s.Since.After(time.Now()) {
		t.Errorf("the first login is told as %+v", s)
	}
	if id, err := (Logind{}).SessionOf(within(t, patience), 1); id != "" || err != nil {
		t.Errorf("the session of process 1: %q, %v", id, err)
	}

	start := time.Now()
	ended, survivors, err := Logind{}.End(within(t, patience), admin, keep)
	if err != nil || len(survivors) > 0 || !slices.Equal(ids(ended), slices.Sorted(slices.Values([]string{first, second}))) {
		t.Errorf("ended %q, survived %q, %v", ids(ended), ids(survivors), err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	expectLogins(t, adminUID, keep)
	for unit, runs := range map[string]bool{"first": false, "second": false, "keep": true, "cronjob": true, "other": true, "root": true, "service": true} {
		state, _ := run(t, "systemctl", "is-active", unit)
		if alive := strings.TrimSpace(state) == "active"; alive != runs {
			t.Errorf("%s runs: %v (sessions: cron %s, other %s)", unit, alive, cron, other)
		}
	}
	if ended, survivors, err := (Logind{}).End(within(t, patience), shadowsync.Account{Name: "root"}, ""); len(ended)+len(survivors) > 0 || err != nil {
		t.Errorf("root's: ended %q, survived %q, %v", ids(ended), ids(survivors), err)
	}
	expectLogins(t, 0, root)
	if ended, survivors, err := (Logind{}).End(within(t, patience), admin, ""); len(ended) != 1 || len(survivors) > 0 || err != nil {
		t.Errorf("the last one: ended %q, survived %q, %v", ids(ended), ids(survivors), err)
	}
	if ended, survivors, err := (Logind{}).End(within(t, patience), admin, ""); len(ended)+len(survivors) > 0 || err != nil {
		t.Errorf("with none left: ended %q, survived %q, %v", ids(ended), ids(survivors), err)
	}
}

// playEnd ends the admin's sessions with the rights of its caller.
func playEnd() {
	ended, survivors, err := Logind{}.End(context.Background(), shadowsync.Account{Name: "admin", UID: adminUID}, "")
	fmt.Printf("%q %q %v\n", ids(ended), ids(survivors), err)
}

// Sessions that do not end are returned with the reason: here the caller has no right to end them.
func TestSurvivorOnMachine(t *testing.T) {
	if !inside(t) {
		return
	}
	must(t, "useradd", "-m", "--uid", fmt.Sprint(adminUID), "admin")
	session := logIn(t, "admin", "admin-session", "user", "sleep 1000")
	start := time.Now()
	out := must(t, "runuser", "-u", "nobody", "--", insideProgram, "end")
	if want := fmt.Sprintf("[] [%q] cannot end sessions: session %s: ", session, session); !strings.HasPrefix(out, want) {
		t.Errorf("%s, want %s…", out, want)
	}
	if took := time.Since(start); took < endLimit || took > endLimit+10*time.Second {
		t.Errorf("it took %v", took)
	}
	expectLogins(t, adminUID, session)
}

func TestHungLogindOnMachine(t *testing.T) {
	if !inside(t) {
		return
	}
	must(t, "systemctl", "kill", "-s", "STOP", "systemd-logind.service")
	defer must(t, "systemctl", "kill", "-s", "CONT", "systemd-logind.service")
	start := time.Now()
	if _, _, err := (Logind{}).End(t.Context(), shadowsync.Account{Name: "admin", UID: adminUID}, ""); err == nil {
		t.Error("a hung logind ended all sessions")
	}
	if took := time.Since(start); took > endLimit+10*time.Second {
		t.Errorf("it took %v", took)
	}
}
