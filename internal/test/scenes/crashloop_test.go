package scenes

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

func (s *stage) restarts() int {
	s.t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(s.Must("systemctl", "show", "-P", "NRestarts", machine.ApplianceUnit)))
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// crashes waits for n more automatic restarts of the application.
func (s *stage) crashes(n int) {
	s.t.Helper()
	from := s.restarts()
	s.eventually("the application crashes and restarts", machine.Patience, func() bool { return s.restarts() >= from+n })
}

// TestCrashLoop: an application crashes again and again, and rewrites the OS at each restart.
// The passwords change while it is up: if its usermod overwrote root's password after a
// millisecond, nothing could have seen root's change.
func TestCrashLoop(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{Restart: "always", CrashAfter: 2 * time.Second})
	settled := func(password string) {
		s.t.Helper()
		s.crashes(2)
		if !s.opensHash(s.ShadowHash("admin"), password) || !s.opensHash(s.StoreHash("admin"), password) {
			s.t.Fatalf("%s is lost\n%s", password, s.Run("shadowsync", "audit", "--user", "admin"))
		}
	}
	for i := range 6 {
		password := "Loop-" + strconv.Itoa(i) + "-marble"
		s.lives()
		if i%2 == 0 {
			s.passwd("admin", password)
		} else {
			s.Must("usermod", "-p", s.hashed(password), "admin")
		}
		settled(password)
	}
	s.opens("admin", "Loop-5-marble", "Loop-4-marble")
}

// lives waits for the start of another run of the application, because the present run may be about to end.
func (s *stage) lives() { s.t.Helper(); s.livesSince(s.started()) }

func (s *stage) livesSince(before string) {
	s.t.Helper()
	s.eventually("the application is up again", machine.Patience, func() bool {
		return s.started() != before && s.Run("systemctl", "is-active", machine.ApplianceUnit).Code == 0
	})
}

// TestRestartsOfAllKinds: try-restart, and signals that systemd answers with a restart.
func TestRestartsOfAllKinds(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{Restart: "always"})
	for i, command := range []string{
		"systemctl try-restart 128T.service",
		"systemctl kill 128T.service",
		"systemctl kill -s KILL 128T.service",
		"systemctl kill -s ABRT 128T.service",
		"systemctl reload-or-restart 128T.service",
		"systemctl stop 128T.service; systemctl start 128T.service",
		"systemctl isolate rescue.target --no-block; sleep 1; systemctl isolate multi-user.target",
	} {
		s.sub(command, func(s *stage) {
			password := "Kind-" + strconv.Itoa(i) + "-granite"
			s.passwd("admin", password)
			started := s.started()
			s.MustShell(command)
			s.livesSince(started)
			if !s.opensHash(s.ShadowHash("admin"), password) || !s.opensHash(s.StoreHash("admin"), password) {
				s.t.Errorf("%s undid the password\n%s", command, s.Run("shadowsync", "audit", "--user", "admin"))
			}
		})
	}
	s.opens("admin", "Kind-6-granite", "Kind-5-granite")
}

// started returns an id that differs for each run of the application's unit.
func (s *stage) started() string {
	s.t.Helper()
	return s.Must("systemctl", "show", "-P", "InvocationID", machine.ApplianceUnit)
}
