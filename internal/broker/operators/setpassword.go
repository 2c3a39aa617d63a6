package operators

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/shadowsync/shadowsync/internal/account/sessions"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/detect/origin"
	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/password/pamworker"
	"github.com/shadowsync/shadowsync/internal/password/proof"
	"github.com/shadowsync/shadowsync/internal/term/printable"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/shadowsync"
)

const (
	// triesForNew is how many new passwords an operator may try.
	triesForNew = 3
	// endsWithin is how long the answer waits for the other sessions to end.
	endsWithin = 2500 * time.Millisecond
	// farewell is how long the shell has to print the answer before it is ended.
	farewell = time.Second
	// parting is how long the process that serves the shell's terminal then has to end by itself:
	// one round trip to the operator, even over a satellite link.
	parting = time.Second
)

var (
	errElsewhere = operator.Errorf(operator.Unavailable, "your password is being changed from another session")
	errYielded   = operator.Errorf(operator.Unavailable, "a change of your password was begun in another session; nothing was changed here")
)

// setPassword runs the dialogue. The current password is proven first, and an enrolled account shows a
// code. The machine's own PAM stack judges and sets the new one. Both sides get it or neither. Then
// the sessions end. The broker passes the passwords on and reads none. It starts nothing until the
// current password has come.
func (o *Server) setPassword(ctx context.Context, c *call) error {
	if c.realm == factor.LDAP {
		return o.setDirectoryPassword(ctx, c)
	}
	application, managed := o.engine.Config.Managing(c.name)
	if !managed {
		return errNotPermitted
	}
	return o.changing(ctx, c, func(ctx context.Context, d *dialogue, current *os.File) error {
		err := o.renew(ctx, c, d, func(fresh *os.File) (weak string, err error) { return o.try(ctx, c, d, application, current, fresh) })
		if err != nil {
			return err
		}
		o.farewell(ctx, c, d, o.ends(application, shadowsync.SeenByPcli))
		return nil
	})
}

// changing has the caller prove the current password and show a code. Then the dialogue is the only one
// that changes the account's password, until a newer one takes its place.
func (o *Server) changing(ctx context.Context, c *call, then func(ctx context.Context, d *dialogue, current *os.File) error) error {
	return o.proven(ctx, c, func(d *dialogue, current *os.File) error {
		if err := o.second(ctx, c); err != nil {
			return err
		}
		ctx, yield := context.WithCancelCause(ctx)
		defer yield(nil)
		d.yield = func() { yield(errYielded) }
		if !o.Dialogues.begin(c.name, d) {
			return errElsewhere
		}
		defer o.Dialogues.end(c.name, d)
		return then(ctx, d, current)
	})
}

// ends reports whether a change that was seen this way ends sessions.
func (o *Server) ends(a config.Application, seen shadowsync.SeenBy) bool {
	return o.engine.Reconciler(a.Name).Application.Ending.Ends(seen)
}

// farewell tells the shell that the change is in force, after the other sessions have ended if the
// change ends any. Then it waits until the shell has printed that and is gone; what is left of its
// session is ended afterwards.
func (o *Server) farewell(ctx context.Context, c *call, d *dialogue, ends bool) {
	notes, ended := o.farewellNotes(ctx, c, d, ends)
	host, hosted := hostOf(c.process)
	if err := c.conn.Send(ctx, operator.Turn{Done: true, Notes: notes, Ended: ended}); err != nil {
		return // the shell is gone
	}
	bye, cancel := context.WithTimeout(ctx, farewell)
	defer cancel()
	_, _ = c.conn.Receive(bye, &operator.Reply{}) // until the shell hangs up
	if ends && hosted {
		sessions.AwaitEnd(host, parting)
	}
}

// hostOf returns the process that started a shell and ends with it. sshd(8) has yet to send the
// last lines and the exit status; ending it earlier would look like a broken connection. A parent
// on the shell's own terminal is another shell: it goes on and does not count.
func hostOf(shell origin.Process) (host origin.Process, hosted bool) {
	host = origin.FromPID(shell.Parent)
	return host, host.StartTicks != 0 && (shell.Terminal == "" || host.Terminal != shell.Terminal)
}

// secret asks for a password or a code. It also ends when the broker is told to stop.
func (o *Server) secret(ctx context.Context, c *call, t operator.Turn) (*os.File, error) {
	ctx, cancel := context.WithTimeout(ctx, typing)
	defer cancel()
	stop := context.AfterFunc(o.Life, cancel)
	defer stop()
	if err := c.conn.Send(ctx, t); err != nil {
		return nil, err
	}
	var r operator.Reply
	files, err := c.conn.Receive(ctx, &r)
	switch {
	case err != nil && errors.Is(context.Cause(ctx), errYielded):
		return nil, errYielded
	case err != nil && o.Life.Err() != nil:
		return nil, operator.Errorf(operator.Unavailable, "shadowsync is restarting; nothing was changed")
	case errors.Is(err, context.DeadlineExceeded):
		return nil, operator.Errorf(operator.Unavailable, "nothing was typed for %s; nothing was changed", typing)
	case err != nil:
		return nil, err
	}
	if r.Op != "secret" || len(files) != 1 {
		socket.CloseAll(files)
		return nil, operator.Errorf(operator.Usage, "a password or a code was expected")
	}
	return files[0], nil
}

// renew asks for new passwords until try sets one.
func (o *Server) renew(ctx context.Context, c *call, d *dialogue, try func(fresh *os.File) (weak string, err error)) error {
	t := operator.Turn{Ask: operator.AskNew}
	for left := triesForNew - 1; ; left-- {
		t.Left = left
		o.startAhead(ctx, d)
		fresh, err := o.secret(ctx, c, t)
		if err != nil {
			return err
		}
		if !o.Dialogues.hold(c.name, d) {
			_ = fresh.Close()
			return errYielded
		}
		weak, err := try(fresh)
		_ = fresh.Close()
		if err != nil || weak == "" {
			return err
		}
		o.Dialogues.release(d)
		o.audit(ctx, c, c.name, "refused: "+weak)
		if left == 0 {
			return operator.Errorf(operator.Policy, "%s", weak)
		}
		t.Weak = weak
	}
}

// startAhead prepares, while the new password is typed, what is needed when it has come.
func (o *Server) startAhead(ctx context.Context, d *dialogue) {
	if o.Dialogues.count() > mostAhead {
		return
	}
	if d.next == nil {
		d.next = o.PAM.Start(ctx, d.hash)
	}
	if d.lister == nil {
		d.lister = o.Accounts.StartAhead(ctx)
		go o.Dialogues.Foresee(ctx)
	}
}

// try sets one new password on both sides. For a weak one it returns the stack's reason.
func (o *Server) try(ctx context.Context, c *call, d *dialogue, a config.Application, current, fresh *os.File) (weak string, err error) {
	if err := o.stores(a).Takes(ctx, c.name); err != nil {
		o.audit(ctx, c, c.name, "refused: the store cannot take it: "+err.Error())
		refusal := o.explain(c, err)
		return "", operator.Errorf(refusal.Kind, "%s; nothing was changed", refusal.Text)
	}
	if weak, err := o.held(ctx, c, a, fresh); err != nil || weak != "" {
		return weak, err
	}
	former, err := o.present(ctx, c.name)
	if err != nil {
		return "", err
	}
	worker := o.workerFor(ctx, d, former.Hash)
	defer worker.Close()
	e := o.Errands.Begin(worker.Unit(), c.origin)
	defer o.Errands.End(worker.Unit())
	answer, err := o.inTurn(ctx, func() (pamworker.Answer, error) { return worker.Change(ctx, c.name, c.uid, current, fresh) })
	if err != nil && !o.done(ctx, former, fresh) {
		return "", o.unproven(ctx, c, answer, err)
	}
	reason := printable.Clip(answer.Reason, 300)
	switch {
	case err != nil, answer.Verdict == pamworker.Done:
		if err = o.persist(ctx, c, e, a, former, fresh); err == nil {
			o.audit(ctx, c, c.name, "done")
		}
		return "", err
	case answer.Verdict == pamworker.Weak:
		return reason, nil
	case answer.Verdict == pamworker.Refused:
		o.audit(ctx, c, c.name, "refused: "+reason)
		return "", operator.Errorf(operator.Policy, "%s", reason)
	}
	return "", o.unproven(ctx, c, answer, nil)
}

// workerFor returns the worker for a change of the present password. One that has begun the change
// proved the password of that time.
func (o *Server) workerFor(ctx context.Context, d *dialogue, present string) *pamworker.Worker {
	worker := d.next
	d.next = nil
	if worker != nil && (present == d.hash || !worker.Begun()) {
		return worker
	}
	worker.Close()
	d.hash = present
	return o.PAM.Start(ctx, present)
}

// held checks an operator's own new password against the configuration's rules. For a weak one it
// returns the reason.
func (o *Server) held(ctx context.Context, c *call, a config.Application, fresh *os.File) (weak string, err error) {
	var refusal *operator.Error
	switch err := o.lawful(ctx, a, c.name, fresh); {
	case errors.As(err, &refusal):
		return refusal.Text, nil
	case err != nil:
		o.audit(ctx, c, c.name, "failed: the password could not be judged")
		o.Log.Error("a new password could not be judged", "account", c.name, "error", err)
		return "", operator.Errorf(operator.Unavailable, "the password could not be judged; nothing was changed")
	}
	return "", nil
}

func (o *Server) present(ctx context.Context, name string) (shadowsync.Account, error) {
	snapshot, err := o.engine.Accounts.Read(ctx, []string{name})
	if err != nil {
		return shadowsync.Account{}, err
	}
	account, there := snapshot.Accounts[name]
	if !there {
		return account, shadowsync.ErrNoAccount
	}
	return account, nil
}

// done reports whether a worker that did not report success has set the password all the same: the
// OS holds another hash than before, and the new password matches it.
func (o *Server) done(ctx context.Context, former shadowsync.Account, fresh *os.File) bool {
	ctx = context.WithoutCancel(ctx)
	now, err := o.present(ctx, former.Name)
	if err != nil {
		return true // persist reports the error
	}
	return now.Hash != former.Hash && !errors.Is(proof.Check(ctx, fresh, now.Hash), proof.ErrNotProven)
}

func (d *dialogue) closeWorkers() {
	d.next.Close()
	d.lister.Close()
}

// doorsMeanwhile lists the ways in that stay open, in the background: that takes a process of its
// own.
func (o *Server) doorsMeanwhile(ctx context.Context, c *call, d *dialogue) <-chan []string {
	doors := make(chan []string, 1)
	list := o.Accounts.Doors
	if d.lister != nil {
		list = d.lister.Doors
	}
	go func() { doors <- o.doors(ctx, c, shadowsync.Account{Name: c.name, UID: c.uid}, list) }()
	return doors
}

// farewellNotes waits until the other sessions have ended, and returns which survived and which
// doors stay open, and whether all have ended.
func (o *Server) farewellNotes(ctx context.Context, c *call, d *dialogue, ends bool) (notes []string, ended bool) {
	if d.doors == nil {
		d.doors = o.doorsMeanwhile(ctx, c, d)
	}
	if !ends {
		return append([]string{"other sessions stay open, as the configuration says"}, <-d.doors...), false
	}
	select {
	case survivors := <-d.ended:
		notes, ended = survived(survivors), len(survivors) == 0
	case <-time.After(endsWithin):
		notes = []string{"whether all other sessions ended is not known yet"}
	}
	return append(notes, <-d.doors...), ended
}
