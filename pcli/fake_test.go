package pcli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/test/eventually"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// fake is a broker that changes only its own data.
type fake struct {
	mutex    sync.Mutex
	hello    operator.Hello
	users    []operator.User
	password string            // the operator's
	secrets  map[string]string // the other users'
	rude     string            // a word that makes new passwords weak
	before   func(op operator.Op) *operator.Error
	asked    []operator.Op
	removed  []operator.Deletion
	dropNew  bool         // hang up after receiving the new password
	arrived  atomic.Int32 // number of requests
	shown    bool         // a code
	left     int          // recovery codes
}

func newFake() *fake {
	admin := operator.User{Name: "admin", FullName: "", Role: operator.RoleAdmin, Enabled: true, Application: "conductor", State: shadowsync.InSync}
	joe := operator.User{
		Name: "jdeveloper", FullName: "Joe Developer", Role: operator.RoleAdmin, Enabled: true,
		Application: "conductor", Home: "/home/jdeveloper", Format: "yescrypt", LastChange: "2026-11-20", State: shadowsync.InSync, Sessions: 2,
	}
	return &fake{
		hello: operator.Hello{
			User: "user222", UID: 1001, Role: operator.RoleAdmin, Node: "node1", Asset: "conductor", Ops: adminOps,
			Groups: []string{"operators"}, Shells: []string{"/usr/bin/pcli"},
		},
		users:    []operator.User{admin, joe, {Name: "user222", FullName: "User", Role: operator.RoleAdmin, Enabled: true, State: shadowsync.InSync}},
		password: "old secret", secrets: map[string]string{}, rude: "weak",
	}
}

var adminOps = []operator.Op{
	operator.OpSetPassword, operator.OpShowUser, operator.OpSessions, operator.OpActivity, operator.OpSync, operator.OpDisconnect, operator.OpLock,
	operator.OpUnlock, operator.OpExpirePassword, operator.OpCreateUser, operator.OpEditUser, operator.OpDeleteUser, operator.OpNames,
}

var userOps = []operator.Op{operator.OpSetPassword, operator.OpShowUser, operator.OpSessions, operator.OpActivity, operator.OpNames}

// awaits waits until this many requests have arrived.
func (f *fake) awaits(t *testing.T, n int32) {
	t.Helper()
	eventually.Holds(t, fmt.Sprintf("%d requests arrived", n), func() bool { return f.arrived.Load() >= n })
}

// kept is the operator's current password.
func (f *fake) kept() string {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return f.password
}

// serve answers until ctx ends.
func (f *fake) serve(ctx context.Context, l *socket.Listener) error {
	server := socket.Server{Handler: f.handle, Timeout: time.Minute, PerPlace: 64}
	return server.Serve(ctx, l)
}

func (f *fake) handle(ctx context.Context, r *socket.Request) {
	f.arrived.Add(1)
	var q operator.Request
	files, err := r.Conn.Receive(ctx, &q)
	if err != nil {
		return
	}
	secret := ""
	for _, file := range files {
		got, _ := socket.ReadSecret(file, operator.MaxSecret)
		secret = string(got)
		file.Close()
	}
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.asked = append(f.asked, q.Op)
	if f.before != nil {
		if refusal := f.before(q.Op); refusal != nil {
			_ = operator.SendError(ctx, r.Conn, refusal)
			return
		}
	}
	switch q.Op {
	case operator.OpSetPassword:
		f.dialogue(ctx, r.Conn)
		return
	case operator.OpLost2FA:
		f.lostDialogue(ctx, r.Conn, q)
		return
	case operator.OpEnrol2FA, operator.OpRenewCodes:
		f.factorDialogue(ctx, r.Conn, q.Op)
		return
	}
	if err := f.answer(ctx, r.Conn, q, secret); err != nil {
		var refusal *operator.Error
		if !errors.As(err, &refusal) {
			refusal = operator.Errorf(operator.Failed, "%v", err)
		}
		_ = operator.SendError(ctx, r.Conn, refusal)
	}
}

func (f *fake) answer(ctx context.Context, c *socket.Conn, q operator.Request, secret string) error {
	switch q.Op {
	case operator.OpHello:
		return operator.SendResult(ctx, c, f.hello)
	case operator.OpNames:
		var names []string
		for _, u := range f.users {
			names = append(names, u.Name)
		}
		return operator.SendList(ctx, c, names)
	case operator.OpSessions:
		return operator.SendList(ctx, c, f.sessions(q.User))
	case operator.OpActivity:
		return f.activity(ctx, c, q)
	case operator.OpSync:
		return operator.SendList(ctx, c, f.sync())
	case operator.OpCode:
		return f.code(ctx, c, secret)
	case operator.OpReset2FA:
		return f.resetFactor(ctx, c, q, secret)
	case operator.OpCreateUser:
		return f.create(ctx, c, q, secret)
	case operator.OpShowUser:
		if q.User == operator.All {
			return operator.SendList(ctx, c, f.users)
		}
	}
	if q.User == "" {
		q.User = f.hello.User
	}
	i := slices.IndexFunc(f.users, func(u operator.User) bool { return u.Name == q.User })
	if i < 0 {
		return operator.Errorf(operator.NoAccount, "there is no account '%s'", q.User)
	}
	return f.change(ctx, c, q, i, secret)
}

func (f *fake) change(ctx context.Context, c *socket.Conn, q operator.Request, i int, secret string) error {
	switch q.Op {
	case operator.OpShowUser:
		return operator.SendList(ctx, c, f.users[i:i+1])
	case operator.OpDisconnect:
		return operator.SendResult(ctx, c, operator.Ended{Ended: f.sessions(q.User), Doors: []string{"keys in /home/x/.ssh/authorized_keys still open the account"}})
	case operator.OpLock, operator.OpUnlock:
		f.users[i].Enabled = q.Op == operator.OpUnlock
	case operator.OpExpirePassword:
		f.users[i].MustChange = true
	case operator.OpDeleteUser:
		var d operator.Deletion
		if err := json.Unmarshal(q.Args, &d); err != nil {
			return err
		}
		f.removed = append(f.removed, d)
		f.users = slices.Delete(f.users, i, i+1)
	case operator.OpEditUser:
		var e operator.Edit
		if err := json.Unmarshal(q.Args, &e); err != nil {
			return err
		}
		switch e.Field {
		case operator.FieldFullName:
			f.users[i].FullName = e.Value
		case operator.FieldRole:
			f.users[i].Role = operator.Role(e.Value)
		case operator.FieldEnabled:
			f.users[i].Enabled = e.Value == "true"
		case operator.FieldPassword:
			f.secrets[q.User] = secret
		}
	}
	return operator.SendResult(ctx, c, operator.Result{})
}

func (f *fake) create(ctx context.Context, c *socket.Conn, q operator.Request, secret string) error {
	var u operator.NewUser
	if err := json.Unmarshal(q.Args, &u); err != nil {
		return err
	}
	if slices.ContainsFunc(f.users, func(other operator.User) bool { return other.Name == u.Name }) {
		return operator.Errorf(operator.Usage, "an account of that name exists already")
	}
	if u.Check {
		return operator.SendResult(ctx, c, operator.Result{})
	}
	if strings.Contains(secret, f.rude) {
		return operator.Errorf(operator.Policy, "BAD PASSWORD: it is too weak")
	}
	f.secrets[u.Name] = secret
	f.users = append(f.users, operator.User{Name: u.Name, FullName: u.FullName, Role: u.Role, Enabled: u.Enabled, State: shadowsync.InSync})
	return operator.SendResult(ctx, c, operator.Result{})
}

func (f *fake) sessions(name string) []operator.Session {
	at := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	if name == "" || name == operator.All {
		name = f.hello.User
	}
	return []operator.Session{
		{User: name, Own: true, Session: shadowsync.Session{ID: "c1", Kind: "sshd", Terminal: "pts/0", Remote: "192.0.2.7", Since: at}},
		{User: name, Session: shadowsync.Session{ID: "c2", Kind: "su", Terminal: "pts/1", Since: at}},
	}
}

func (f *fake) activity(ctx context.Context, c *socket.Conn, q operator.Request) error {
	var a operator.Activity
	if err := json.Unmarshal(q.Args, &a); err != nil {
		return err
	}
	at := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	var events []shadowsync.Event
	for i := range max(a.Rows, 3) {
		events = append(events, shadowsync.Event{
			At: at.Add(-time.Duration(i) * time.Minute), Account: "admin", Action: fmt.Sprintf("adopt-%d", i), Result: shadowsync.InSync,
			Origin: shadowsync.Origin{SeenBy: shadowsync.SeenByPAM, By: "root", Login: "t128", Program: "passwd", Terminal: "pts/3"},
		})
	}
	return operator.SendList(ctx, c, events)
}

func (f *fake) sync() []operator.SyncState {
	at := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	return []operator.SyncState{
		{Application: "conductor", Unit: "128T.service", Guard: "off", Account: "admin", State: shadowsync.InSync, LastChange: &shadowsync.Origin{At: at, By: "root", Program: "passwd"}},
		{Application: "conductor", Unit: "128T.service", Guard: "on", Account: "user222", State: shadowsync.Pending, Reason: "store: read-only file system", PendingSince: at},
	}
}

// dialogue asks for set password as the broker does.
func (f *fake) dialogue(ctx context.Context, c *socket.Conn) {
	if current, ok := f.question(ctx, c, operator.Turn{Ask: operator.AskCurrent}); !ok {
		return
	} else if current != f.password {
		_ = c.Send(ctx, operator.Turn{Error: operator.Errorf(operator.NotAuthenticated, "the current password is not that")})
		return
	}
	if f.hello.Factor == operator.FactorEnrolled && !f.askedCode(ctx, c, operator.Turn{Ask: operator.AskCode}) {
		return
	}
	turn := operator.Turn{Ask: operator.AskNew, Left: 2}
	for {
		secret, ok := f.question(ctx, c, turn)
		switch {
		case !ok || f.dropNew:
			return
		case !strings.Contains(secret, f.rude):
			f.password = secret
			_ = c.Send(ctx, operator.Turn{Done: true})
			return
		case turn.Left == 0:
			_ = c.Send(ctx, operator.Turn{Error: operator.Errorf(operator.Policy, "BAD PASSWORD: it is too weak")})
			return
		}
		turn.Weak = "BAD PASSWORD: it is too weak"
		turn.Left--
	}
}

func (f *fake) question(ctx context.Context, c *socket.Conn, turn operator.Turn) (string, bool) {
	if c.Send(ctx, turn) != nil {
		return "", false
	}
	var reply operator.Reply
	files, err := c.Receive(ctx, &reply)
	if err != nil || len(files) != 1 {
		return "", false
	}
	defer files[0].Close()
	secret, err := socket.ReadSecret(files[0], operator.MaxSecret)
	return string(secret), err == nil
}

// refuse returns a refusal of one operation.
func refuse(op operator.Op, kind operator.Kind) func(operator.Op) *operator.Error {
	return func(asked operator.Op) *operator.Error {
		if asked != op {
			return nil
		}
		return operator.Errorf(kind, "conductor's store: read-only file system; nothing was changed")
	}
}
