package systemd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/shadowsync/shadowsync/shadowsync"
)

const (
	// endLimit is how long ended sessions may take to disappear.
	endLimit = 2 * time.Second
	// endPatience is how long a session may take to end by itself before it is killed.
	endPatience = 700 * time.Millisecond
	// endPoll is the time between two checks of what is left.
	endPoll = 50 * time.Millisecond

	loginService = "org.freedesktop.login1"
	loginManager = "org.freedesktop.login1.Manager"
	loginSession = "org.freedesktop.login1.Session"
	getAll       = "org.freedesktop.DBus.Properties.GetAll"
)

// Logind ends the logins that logind knows. A su(1) shell inside another user's session is not one
// of them.
type Logind struct{}

// login is a session with details that only this package needs.
type login struct {
	shadowsync.Session
	class  string
	uid    uint32
	leader uint32
}

// opened reports whether a person logged in with the session. Background sessions belong to cron
// and at. A manager session is the user's own systemd, which ends with the last login or lingers.
// Greeters and lock screens admit no one.
func (l login) opened() bool {
	switch l.class {
	case "user", "user-early", "user-light", "user-incomplete", "":
		return true
	}
	return false
}

// background reports whether the session has a background class: pam_systemd(8) gives it to a
// session that has neither a terminal nor a remote host. systemd 256 and later also have a lighter
// kind of it.
func (l login) background() bool { return l.class == "background" || l.class == "background-light" }

// List returns the logins of a uid, oldest first.
func (Logind) List(ctx context.Context, uid int) ([]shadowsync.Session, error) {
	var sessions []shadowsync.Session
	err := callLogind(ctx, "list sessions", func(c *loginConn) (err error) {
		sessions, err = c.logins(ctx, uid)
		return err
	})
	return sessions, err
}

// Login is a session of any user.
type Login struct {
	shadowsync.Session
	UID    int
	Opened bool // a person logged in with it: it is neither a background job nor a greeter
	// Background: a job runs in it, started by cron, at, or su(1) and the like without a terminal.
	Background bool
	Leader     int // pid of the process that opened it; it may have ended
}

// Logins lists sessions and remembers what logind said about each. That is valid for a session's
// life, so the next list asks only about new ones. The zero value has nothing to remember yet.
type Logins struct {
	mu   sync.Mutex
	last map[string]Login // never changed, only replaced
}

// All returns every session that logind knows now, keyed by id.
func (k *Logins) All(ctx context.Context) (map[string]Login, error) {
	k.mu.Lock()
	last := k.last
	k.mu.Unlock()
	logins := map[string]Login{}
	err := callLogind(ctx, "list sessions", func(c *loginConn) error {
		listed, err := c.list(ctx)
		if err != nil {
			return err
		}
		news, err := c.details(ctx, slices.DeleteFunc(listed, func(s listedSession) bool {
			l, known := last[s.ID]
			if known = known && l.UID == int(s.UID); known {
				logins[s.ID] = l
			}
			return known
		}))
		for _, l := range news {
			logins[l.ID] = Login{l.Session, int(l.uid), l.opened(), l.background(), int(l.leader)}
		}
		return err
	})
	if err == nil {
		k.mu.Lock()
		k.last = logins
		k.mu.Unlock()
	}
	return logins, err
}

// All returns every session that logind knows, keyed by id.
func (Logind) All(ctx context.Context) (map[string]Login, error) { return new(Logins).All(ctx) }

// SessionOf returns the id of the session that a process belongs to, or empty if there is none.
func (Logind) SessionOf(ctx context.Context, pid int) (string, error) {
	var id string
	err := callLogind(ctx, "find the session of a process", func(c *loginConn) error {
		var path dbus.ObjectPath
		err := c.manager(ctx, "GetSessionByPID", uint32(pid)).Store(&path)
		if answered(err, loginService+".NoSessionForPID") || answered(err, "org.freedesktop.DBus.Error.UnixProcessIdUnknown") {
			return nil
		}
		if err != nil {
			return err
		}
		l, err := c.session(ctx, path)
		id = l.ID
		return err
	})
	return id, err
}

// End ends every login of the account except the session keep. It waits until they are gone, kills
// what is left, and returns the ended sessions and those that survived two seconds of that. It
// never touches uid 0.
func (l Logind) End(ctx context.Context, account shadowsync.Account, keep string) (ended, survivors []shadowsync.Session, err error) {
	return l.EndBut(ctx, account, func(id string) bool { return id == keep })
}

// EndBut is End with a function that says which sessions to keep.
func (Logind) EndBut(ctx context.Context, account shadowsync.Account, keep func(id string) bool) (ended, survivors []shadowsync.Session, err error) {
	if account.UID == 0 {
		return nil, nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, endLimit+time.Second)
	defer cancel()
	var before []shadowsync.Session
	err = callLogind(ctx, "end sessions", func(c *loginConn) (err error) {
		if before, err = c.others(ctx, account.UID, keep); err == nil {
			survivors, err = c.end(ctx, account.UID, before, keep) // after an error: what was left when last seen
		}
		return err
	})
	for _, s := range before {
		if !slices.ContainsFunc(survivors, func(left shadowsync.Session) bool { return left.ID == s.ID }) {
			ended = append(ended, s)
		}
	}
	return ended, survivors, err
}

// loginConn is a connection to logind for one operation.
type loginConn struct{ bus *dbus.Conn }

// callLogind runs calls to logind on their own connection. It does not use go-systemd, whose
// TerminateSession drops the error.
func callLogind(ctx context.Context, what string, calls func(*loginConn) error) error {
	bus, err := dialSystemBus(ctx)
	if err == nil {
		defer bus.Close()
		err = calls(&loginConn{bus})
	}
	if err != nil {
		return fmt.Errorf("cannot %s: %w", what, err)
	}
	return nil
}

func (c *loginConn) manager(ctx context.Context, method string, args ...any) *dbus.Call {
	return c.bus.Object(loginService, "/org/freedesktop/login1").CallWithContext(ctx, loginManager+"."+method, 0, args...)
}

// listedSession is an element of logind's list: "(susso)".
type listedSession struct {
	ID   string
	UID  uint32
	User string
	Seat string
	Path dbus.ObjectPath
}

// list lists every session of any class.
func (c *loginConn) list(ctx context.Context) (listed []listedSession, err error) {
	err = c.manager(ctx, "ListSessions").Store(&listed)
	return listed, err
}

// details asks about listed sessions. It leaves out a session that ends meanwhile.
func (c *loginConn) details(ctx context.Context, listed []listedSession) ([]login, error) {
	// Send all questions before waiting for the first answer: one round trip instead of one each.
	answers := make([]*dbus.Call, len(listed))
	for i, s := range listed {
		answers[i] = c.bus.Object(loginService, s.Path).GoWithContext(ctx, getAll, 0, make(chan *dbus.Call, 1), loginSession)
	}
	var logins []login
	for i, s := range listed {
		l, err := loginOf(<-answers[i].Done)
		if gone(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		l.uid = s.UID
		logins = append(logins, l)
	}
	return logins, nil
}

// logins lists the open logins of a uid.
func (c *loginConn) logins(ctx context.Context, uid int) ([]shadowsync.Session, error) {
	listed, err := c.list(ctx)
	if err != nil {
		return nil, err
	}
	all, err := c.details(ctx, slices.DeleteFunc(listed, func(s listedSession) bool { return s.UID != uint32(uid) }))
	if err != nil {
		return nil, err
	}
	var sessions []shadowsync.Session
	for _, l := range all {
		if l.opened() {
			sessions = append(sessions, l.Session)
		}
	}
	slices.SortFunc(sessions, func(a, b shadowsync.Session) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID))
	})
	return sessions, nil
}

func (c *loginConn) session(ctx context.Context, path dbus.ObjectPath) (login, error) {
	return loginOf(c.bus.Object(loginService, path).CallWithContext(ctx, getAll, 0, loginSession))
}

// loginOf reads the answer to getAll.
func loginOf(answer *dbus.Call) (login, error) {
	var variants map[string]dbus.Variant
	if err := answer.Store(&variants); err != nil {
		return login{}, err
	}
	props := make(map[string]any, len(variants))
	for name, v := range variants {
		props[name] = v.Value()
	}
	return login{
		class: value[string](props, "Class"), leader: value[uint32](props, "Leader"),
		Session: shadowsync.Session{
			ID:       value[string](props, "Id"),
			Kind:     value[string](props, "Service"),
			Terminal: cmp.Or(value[string](props, "TTY"), value[string](props, "Display")),
			Remote:   value[string](props, "RemoteHost"),
			Since:    fromMicroseconds(value[uint64](props, "Timestamp")),
		},
	}, nil
}

func (c *loginConn) others(ctx context.Context, uid int, keep func(id string) bool) ([]shadowsync.Session, error) {
	sessions, err := c.logins(ctx, uid)
	return slices.DeleteFunc(sessions, func(s shadowsync.Session) bool { return keep(s.ID) }), err
}

// ending records what was already asked of logind, by session.
type ending struct {
	asked, killed map[string]bool
}

// end terminates sessions, and also those that open while it runs: a user may just be typing the
// old password. It returns what is left, with logind's refusals.
func (c *loginConn) end(ctx context.Context, uid int, left []shadowsync.Session, keep func(id string) bool) ([]shadowsync.Session, error) {
	start := time.Now()
	done := ending{map[string]bool{}, map[string]bool{}}
	var refused []error
	for len(left) > 0 && time.Since(start) < endLimit {
		for _, s := range left {
			if err := c.endOne(ctx, s.ID, done, time.Since(start) > endPatience); err != nil {
				refused = append(refused, fmt.Errorf("session %s: %w", s.ID, err))
			}
		}
		err := sleep(ctx, endPoll)
		if err != nil {
			return left, err
		}
		if left, err = c.others(ctx, uid, keep); err != nil {
			return left, err
		}
	}
	if len(left) == 0 {
		return nil, nil
	}
	return left, errors.Join(refused...)
}

func (c *loginConn) endOne(ctx context.Context, id string, done ending, kill bool) error {
	var err error
	switch {
	case !done.asked[id]:
		done.asked[id] = true
		err = c.manager(ctx, "TerminateSession", id).Err
	case kill && !done.killed[id]:
		done.killed[id] = true
		err = c.manager(ctx, "KillSession", id, "all", int32(syscall.SIGKILL)).Err
	}
	if gone(err) {
		return nil
	}
	return err
}

// gone reports whether logind no longer knows a session, or nothing is left in it.
func gone(err error) bool {
	var answer dbus.Error
	if !errors.As(err, &answer) {
		return false
	}
	switch answer.Name {
	case loginService + ".NoSuchSession", "org.freedesktop.DBus.Error.UnknownObject", "org.freedesktop.systemd1.NoSuchUnit",
		"org.freedesktop.systemd1.NoSuchProcess", "org.freedesktop.DBus.Error.UnixProcessIdUnknown":
		return true
	}
	return false
}
