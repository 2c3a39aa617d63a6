package operators

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/factor/guide"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/shadowsync/web"
)

// who describes the visitor. Whoever is not signed in yet learns the next step alone. It is asked with every
// page, so it looks at nothing but files.
func (o *Server) who(ctx context.Context, c *call) (Reply, error) {
	s, own, stage := c.page.session, c.page.own, c.page.stage
	p := web.Person{
		Name: c.name, Next: stage, Proof: wanted(own), Factor: web.Factor(stateOf(own)), SignedIn: s.Since, Address: s.Address,
		Lost: o.recoverable(own) && slices.Contains(atCode, stage),
	}
	duty, err := o.duty(ctx, c, own)
	if err != nil {
		return Reply{}, err
	}
	if duty.Enrol {
		p.Required = guide.Required(duty.Until, time.Now(), duty.Must)
	}
	if !slices.Contains(setting, stage) {
		return Reply{Result: p}, nil
	}
	snapshot, err := o.seen(ctx, c, []string{c.name})
	if err != nil {
		return Reply{}, err
	}
	u := o.user(c, snapshot.Accounts[c.name], shadowsync.AccountMemory{})
	p.FullName, p.Role, p.Realm, p.Expires, p.Changed = u.FullName, web.Role(u.Role), u.Realm, u.Expires, u.LastChange
	p.Enrolled, p.CodesLeft, p.Mails = own.EnrolledAt, own.RecoveryLeft(), o.engine.Mails()
	p.Directory = c.role == operator.RoleAdmin && o.engine.Config.SecondFactor.LDAP && o.administersAll(c)
	if own.Mail != "" {
		p.Mail = factor.Masked(own.Mail)
	}
	return Reply{Result: p}, nil
}

func (o *Server) signOut(ctx context.Context, c *call) (Reply, error) {
	o.record(ctx, c, actionSignedOut, "")
	return Reply{Ended: true}, nil
}

// setPasswordAtPage is the dialogue, with both passwords at hand. Then this session ends, too.
func (o *Server) setPasswordAtPage(ctx context.Context, c *call) (Reply, error) {
	c.page.script.secrets = map[operator.Secret]*os.File{operator.AskCurrent: c.files[0], operator.AskNew: c.files[1]}
	if err := o.setPassword(ctx, c); err != nil {
		return Reply{}, err
	}
	return Reply{Result: web.Result{Notes: c.page.script.last.Notes, Ended: c.page.script.last.Ended}, Ended: true}, nil
}

// endAtPage ends the sessions of an account; of the visitor's own, this one too.
func (o *Server) endAtPage(ctx context.Context, c *call) (Reply, error) {
	own := c.request.Op != operator.OpDisconnect
	c.request.Op = operator.OpDisconnect
	end := o.disconnect
	if own {
		end = o.disconnectOwn
	}
	if err := end(ctx, c); err != nil {
		return Reply{}, err
	}
	ended, err := resultOf[web.Ended](c.page.script)
	return Reply{Result: ended, Ended: own}, err
}

func (o *Server) disconnectOwn(ctx context.Context, c *call) error {
	account, err := o.ownAccount(ctx, c)
	if err != nil {
		return err
	}
	return o.endAll(ctx, c, account)
}

// ownAccount is the visitor's account.
func (o *Server) ownAccount(ctx context.Context, c *call) (shadowsync.Account, error) {
	if c.realm == factor.LDAP {
		return c.account(), nil
	}
	return o.present(ctx, c.name)
}

// asked answers with what an operation gives, as a page may see it.
func asked[T any](do func(*Server, context.Context, *call) error) func(*Server, context.Context, *call) (Reply, error) {
	return func(o *Server, ctx context.Context, c *call) (Reply, error) {
		if err := do(o, ctx, c); err != nil {
			return Reply{}, err
		}
		result, err := resultOf[T](c.page.script)
		return Reply{Result: result}, err
	}
}

// listed is asked for an operation that gives a list.
func listed[T any](do func(*Server, context.Context, *call) error) func(*Server, context.Context, *call) (Reply, error) {
	return func(o *Server, ctx context.Context, c *call) (Reply, error) {
		if err := do(o, ctx, c); err != nil {
			return Reply{}, err
		}
		return listOf[T](c.page.script)
	}
}

// usersAtPage lists accounts: of an administrator, all that they may see.
func (o *Server) usersAtPage(ctx context.Context, c *call) error {
	if c.request.User == "" && c.role == operator.RoleAdmin {
		c.request.User = operator.All
	}
	return o.showUser(ctx, c)
}

// mostRowsAtPage bounds a list, which is in memory as a whole, several times.
const mostRowsAtPage = 1000

// activityAtPage lists records of the audit.
func (o *Server) activityAtPage(ctx context.Context, c *call) error {
	var a web.Activity
	if len(c.request.Args) > 0 && json.Unmarshal(c.request.Args, &a) != nil {
		return operator.Errorf(operator.Usage, "activity: not understood")
	}
	packed, err := json.Marshal(operator.Activity{From: a.From, To: a.To, Rows: min(a.Rows, mostRowsAtPage), User: c.request.User})
	if err != nil {
		return fmt.Errorf("cannot ask for activity: %w", err)
	}
	c.request.Args = packed
	return o.activity(ctx, c)
}

// resetPasswordAtPage sets the password of another account.
func (o *Server) resetPasswordAtPage(ctx context.Context, c *call) error {
	packed, err := json.Marshal(operator.Edit{Field: operator.FieldPassword})
	if err != nil {
		return fmt.Errorf("cannot ask for a password: %w", err)
	}
	c.request.Args = packed
	return o.editUser(ctx, c)
}

// reset2FAAtPage drops the second factor of an account, of a local one unless the request says otherwise.
func (o *Server) reset2FAAtPage(ctx context.Context, c *call) error {
	realm := web.Realm{Realm: string(factor.Local)}
	if len(c.request.Args) > 0 && json.Unmarshal(c.request.Args, &realm) != nil {
		return operator.Errorf(operator.Usage, "reset 2fa: not understood")
	}
	packed, err := json.Marshal(operator.Realm(realm))
	if err != nil {
		return fmt.Errorf("cannot ask for a reset: %w", err)
	}
	c.request.Args = packed
	return o.reset2FA(ctx, c)
}
