package operators

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/shadowsync/shadowsync/internal/account/protect"
	"github.com/shadowsync/shadowsync/internal/account/sessions"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/factor/guide"
	"github.com/shadowsync/shadowsync/internal/password/crypt/format"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// Limits of show user activity.
const (
	usualRows = 50
	mostRows  = 10_000
)

func (o *Server) hello(ctx context.Context, c *call) error {
	h := operator.Hello{
		User: c.name, UID: c.uid, Role: c.role, Node: o.engine.Config.Node.Name, Asset: o.engine.Config.Node.Asset,
		IdleTimeout: int(time.Duration(o.engine.Config.Pcli.IdleTimeout) / time.Second),
	}
	for op, rule := range o.rules {
		if rule.may(c.asker) {
			h.Ops = append(h.Ops, op)
		}
	}
	slices.Sort(h.Ops)
	own, err := o.ownFactor(ctx, c)
	if err != nil {
		return err
	}
	h.Factor, h.Lost = stateOf(own), o.recoverable(own)
	duty, err := o.duty(ctx, c, own)
	if err != nil {
		return err
	}
	if duty.Enrol {
		h.Required, h.MustEnrol = guide.Required(duty.Until, time.Now(), duty.Must), duty.Must
	}
	if h.Expired, err = o.mustChange(ctx, c); err != nil {
		return err
	}
	return operator.SendResult(ctx, c.conn, h)
}

// mustChange reports whether the caller must set a new password first. What a directory demands is not known
// here.
func (o *Server) mustChange(ctx context.Context, c *call) (bool, error) {
	if _, managed := o.engine.Config.Managing(c.name); !managed || c.realm != factor.Local {
		return false, nil
	}
	snapshot, err := o.engine.Accounts.Read(ctx, []string{c.name})
	return err == nil && expired(snapshot.Accounts[c.name].Credential, shadowsync.DayOf(time.Now())), err
}

// duty is what second_factor.required asks of the caller; nothing of whoever has one, or had one.
func (o *Server) duty(ctx context.Context, c *call, own factor.Record) (engine.Duty, error) {
	if c.root() || own.Asked() {
		return engine.Duty{}, nil
	}
	return o.engine.Duty(ctx, c.name, time.Now())
}

// stateOf returns the state of a second factor as shells know it.
func stateOf(r factor.Record) operator.Factor {
	if r.State != factor.Enrolled && r.Ticket != nil {
		return operator.FactorReset
	}
	return operator.Factor(r.State)
}

// expired reports whether login(1) would demand a new password.
func expired(c shadowsync.Credential, today shadowsync.Day) bool {
	return c.MustChange || c.Max != shadowsync.NoDay && c.LastChange != shadowsync.NoDay && today > c.LastChange+c.Max
}

func (o *Server) names(ctx context.Context, c *call) error {
	return operator.SendList(ctx, c.conn, o.visible(c.asker))
}

func (o *Server) showUser(ctx context.Context, c *call) error {
	names, err := o.chosen(c)
	if err != nil {
		return err
	}
	snapshot, err := o.seen(ctx, c, names)
	if err != nil {
		return err
	}
	memory, err := o.memory(ctx, names)
	if err != nil {
		return err
	}
	open, err := sessions.ListAll(ctx, slices.Collect(uids(snapshot)))
	if err != nil {
		o.Log.Warn("sessions cannot be counted", "error", err)
	}
	standings := o.standings(ctx, names)
	if c.realm == factor.LDAP {
		standings[c.name] = o.standing(ctx, c.person)
	}
	factors, err := o.factorsOf(ctx, c, names)
	if err != nil {
		return err
	}
	users := make([]operator.User, 0, len(names))
	for _, name := range names {
		if account, there := snapshot.Accounts[name]; there {
			u := o.user(c, account, memory[name])
			u.Sessions, u.Protected = len(open[account.UID]), standings[name].Why
			r := factors[name]
			u.Factor, u.EnrolledAt, u.FactorUsed, u.CodesLeft = stateOf(r), r.EnrolledAt, r.UsedAt, r.RecoveryLeft()
			users = append(users, u)
		}
	}
	return operator.SendList(ctx, c.conn, users)
}

// standings returns which accounts are protected. For one account the check is complete; for many
// it leaves out what would need a question to sudo for each.
func (o *Server) standings(ctx context.Context, names []string) map[string]protect.Standing {
	if len(names) == 1 {
		return o.engine.Protect.Of(ctx, names...)
	}
	return o.engine.Protect.Glance(ctx, names...)
}

// factorsOf returns what is kept of these accounts' second factors.
func (o *Server) factorsOf(ctx context.Context, c *call, names []string) (map[string]factor.Record, error) {
	kept, err := o.factors().Store.Factors(ctx)
	if err != nil {
		return nil, err
	}
	all := make(map[string]factor.Record, len(names))
	for _, name := range names {
		all[name] = factor.Record{State: factor.None}
	}
	for _, r := range kept {
		realm := factor.Local
		if r.Account == c.name {
			realm = c.realm
		}
		if _, asked := all[r.Account]; asked && r.Realm == realm {
			all[r.Account] = r
		}
	}
	return all, nil
}

// memory returns what the state records about accounts of any application. With several stores it is
// what is recorded for the first one, and the change that is open there, or else in another.
func (o *Server) memory(ctx context.Context, names []string) (map[string]shadowsync.AccountMemory, error) {
	all := make(map[string]shadowsync.AccountMemory, len(names))
	for _, a := range o.engine.Config.Applications {
		mine := names
		if len(names) > 1 {
			mine = a.Accounts
		}
		memory, err := o.engine.State.Load(ctx, a.Name, mine)
		if err != nil {
			return nil, err
		}
		for name, m := range memory.Accounts {
			if first := all[name]; !a.First() {
				first.Open = cmp.Or(first.Open, m.Open)
				m = first
			}
			all[name] = m
		}
	}
	return all, nil
}

func (o *Server) user(c *call, account shadowsync.Account, m shadowsync.AccountMemory) operator.User {
	today := shadowsync.DayOf(time.Now())
	application, _ := o.engine.Config.Managing(account.Name)
	person := c.people[account.Name]
	u := operator.User{
		Name: account.Name, FullName: person.FullName, Shell: person.Shell, Home: person.Home, Role: roleOf(o.engine.Config, person, account.UID, factor.Local),
		Enabled:     account.LetsIn(today),
		Application: application.Name, LastChange: date(account.LastChange), MustChange: account.MustChange,
		Locked: account.Locked, State: shadowsync.InSync,
	}
	if c.realm == factor.LDAP && account.Name == c.name {
		u.Role, u.Realm, u.State = c.role, string(c.realm), ""
	}
	if f := format.Identify(account.Hash); f != format.Unknown {
		u.Format = f.String()
	}
	u.Expires = date(expires(account.Credential))
	if m.Open != nil {
		u.State, u.Reason = m.Open.State, m.Open.Reason
	}
	return u
}

// forever is the maximum age, in days, with which useradd(8) makes accounts whose passwords
// do not expire (login.defs(5), PASS_MAX_DAYS).
const forever = 99999

// expires is the last day on which a password is valid.
func expires(c shadowsync.Credential) shadowsync.Day {
	if c.Max == shadowsync.NoDay || c.Max >= forever || c.LastChange == shadowsync.NoDay {
		return shadowsync.NoDay
	}
	return c.LastChange + c.Max
}

func date(d shadowsync.Day) string {
	if d == shadowsync.NoDay {
		return ""
	}
	return d.Time().Format(time.DateOnly)
}

func (o *Server) listSessions(ctx context.Context, c *call) error {
	names, err := o.chosen(c)
	if err != nil {
		return err
	}
	snapshot, err := o.seen(ctx, c, names)
	if err != nil {
		return err
	}
	lists, err := sessions.ListAll(ctx, slices.Collect(uids(snapshot)))
	if err != nil {
		return err
	}
	all := []operator.Session{}
	for _, name := range names {
		for _, s := range lists[snapshot.Accounts[name].UID] {
			all = append(all, operator.Session{User: name, Own: s.ID == c.origin.Session, Session: s})
		}
	}
	return operator.SendList(ctx, c.conn, all)
}

func uids(snapshot shadowsync.OSSnapshot) func(func(int) bool) {
	return func(yield func(int) bool) {
		for _, account := range snapshot.Accounts {
			if !yield(account.UID) {
				return
			}
		}
	}
}

func (o *Server) activity(ctx context.Context, c *call) error {
	var q operator.Activity
	if len(c.request.Args) > 0 {
		if err := json.Unmarshal(c.request.Args, &q); err != nil {
			return operator.Errorf(operator.Usage, "activity: not understood")
		}
	}
	c.request.User = q.User
	if q.User == "" && c.role == operator.RoleAdmin {
		c.request.User = operator.All
	}
	names, err := o.chosen(c)
	if err != nil {
		return err
	}
	rows := q.Rows
	if rows <= 0 {
		rows = usualRows
	}
	events, err := o.events(ctx, q, names, min(rows, mostRows))
	if err != nil {
		return err
	}
	return operator.SendList(ctx, c.conn, events)
}

// events returns the newest records about these accounts, newest first.
func (o *Server) events(ctx context.Context, q operator.Activity, names []string, rows int) ([]shadowsync.Event, error) {
	query := state.Query{Since: q.From, Until: q.To}
	if len(names) == 1 {
		query.Account, query.Limit = names[0], rows
	}
	about := make(map[string]bool, len(names))
	for _, name := range names {
		about[name] = true
	}
	kept := []shadowsync.Event{}
	for record, err := range o.engine.State.Trail(ctx, query) {
		if err != nil {
			return nil, err
		}
		e := record.Event
		if !about[e.Account] {
			continue
		}
		kept = append(kept, e)
		if len(kept) >= 2*rows { // bounds the memory on a long trail
			kept = slices.Clone(kept[len(kept)-rows:])
		}
	}
	kept = kept[max(0, len(kept)-rows):]
	slices.Reverse(kept)
	return kept, nil
}

func (o *Server) showSync(ctx context.Context, c *call) error {
	visible := o.visible(c.asker)
	var rows []operator.SyncState
	for _, a := range o.engine.Config.Applications {
		guard, err := o.guardOf(ctx, a)
		if err != nil {
			return err
		}
		names := slices.DeleteFunc(slices.Clone(a.Accounts), func(name string) bool {
			_, seen := slices.BinarySearch(visible, name)
			return !seen
		})
		memory, err := o.engine.State.Survey(ctx, a.Name, names)
		if err != nil {
			return err
		}
		for _, name := range names {
			rows = append(rows, syncState(a, guard, name, memory.Accounts[name]))
		}
	}
	return operator.SendList(ctx, c.conn, rows)
}

func (o *Server) guardOf(ctx context.Context, a config.Application) (string, error) {
	status, err := o.Guard.InForce(ctx, a.Unit)
	return string(status.Mode), err
}

func syncState(a config.Application, guard, name string, m shadowsync.AccountMemory) operator.SyncState {
	s := operator.SyncState{Application: a.Name, Unit: a.Unit, Guard: guard, Account: name, State: shadowsync.InSync, LastChange: m.LastChange}
	switch {
	case m.Open != nil:
		s.State, s.Reason, s.PendingSince = m.Open.State, m.Open.Reason, m.Open.Since
	case m.Baseline == nil:
		s.State = shadowsync.Queued
	}
	return s
}
