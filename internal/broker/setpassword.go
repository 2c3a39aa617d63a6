package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/operator"
	"github.com/shadowsync/shadowsync/internal/origin"
	"github.com/shadowsync/shadowsync/internal/pamworker"
	"github.com/shadowsync/shadowsync/internal/printable"
	"github.com/shadowsync/shadowsync/internal/proof"
	"github.com/shadowsync/shadowsync/internal/sessions"
	"github.com/shadowsync/shadowsync/shadowsync"
)

const (
	// triesForNew is how many new passwords may be weak.
	triesForNew = 3
	// endsWithin is how long the answer waits for the other sessions' end.
	endsWithin = 2500 * time.Millisecond
	// farewell is how long the shell has to print the answer before it is ended.
	farewell = time.Second
	// parting is how long who serves the shell's terminal then has to end by itself: a round
	// trip to the operator, who may be beyond a satellite.
	parting = time.Second
)

var errElsewhere = operator.Errorf(operator.Unavailable, "your password is being changed from another session")

// setPassword is the dialogue: the current password is proven first, the new one is
// judged and set by the machine's own PAM stack, both sides have it or neither, and
// then the sessions end. The broker hands the passwords on and reads none.
func (o *operators) setPassword(ctx context.Context, c *call) error {
	application, managed := o.engine.Config.Managing(c.name)
	if !managed {
		return errNotPermitted
	}
	if err := o.patience(c.name); err != nil {
		return err
	}
	d := newDialogue(c.process)
	defer o.dialogues.end(c.name, d)
	d.next = o.pam.Start(ctx)            // while the password is typed
	defer func() { go d.next.Close() }() // nobody waits for the end of one that has done nothing
	current, err := o.current(ctx, c, d)
	if err != nil {
		return err
	}
	defer current.Close()
	if err := o.renew(ctx, c, d, application, current); err != nil {
		return err
	}
	o.wrong.forgive(c.name)
	o.farewell(ctx, c, d, o.ends(application, shadowsync.SeenByPcli))
	return nil
}

// ends tells whether a change that was seen like that ends sessions.
func (o *operators) ends(a config.Application, seen shadowsync.SeenBy) bool {
	return o.engine.Reconciler(a.Name).Application.Ending.Ends(seen)
}

// farewell tells that the change stands, once the other sessions have ended where it ends
// any, and waits until the shell has printed it and is gone: then what is left of its
// session is ended, too.
func (o *operators) farewell(ctx context.Context, c *call, d *dialogue, ends bool) {
	notes := o.farewellNotes(d, ends)
	host, hosted := hostOf(c.process)
	if err := c.conn.Send(ctx, operator.Turn{Done: true, Notes: notes}); err != nil {
		return // nobody is there to be told
	}
	bye, cancel := context.WithTimeout(ctx, farewell)
	defer cancel()
	_, _ = c.conn.Receive(bye, &operator.Reply{}) // until it hangs up
	if ends && hosted {
		sessions.AwaitEnd(host, parting)
	}
}

// hostOf is who started a shell and ends with it: sshd(8) has yet to send the last lines
// and the exit status, and an end meanwhile would look like a broken connection. Who is on
// the shell's own terminal, another shell, goes on and does not count.
func hostOf(shell origin.Process) (host origin.Process, hosted bool) {
	host = origin.FromPID(shell.Parent)
	return host, host.StartTicks != 0 && (shell.Terminal == "" || host.Terminal != shell.Terminal)
}

// secret asks for a password. It ends with the broker, too.
func (o *operators) secret(ctx context.Context, c *call, t operator.Turn) (*os.File, error) {
	ctx, cancel := context.WithTimeout(ctx, typing)
	defer cancel()
	defer context.AfterFunc(o.life, cancel)()
	if err := c.conn.Send(ctx, t); err != nil {
		return nil, err
	}
	var r operator.Reply
	files, err := c.conn.Receive(ctx, &r)
	switch {
	case err != nil && o.life.Err() != nil:
		return nil, operator.Errorf(operator.Unavailable, "shadowsync is restarting; nothing was changed")
	case errors.Is(err, context.DeadlineExceeded):
		return nil, operator.Errorf(operator.Unavailable, "no password was typed for %s; nothing was changed", typing)
	case err != nil:
		return nil, err
	}
	if r.Op != "secret" || len(files) != 1 {
		closeAll(files)
		return nil, operator.Errorf(operator.Usage, "a password was expected")
	}
	return files[0], nil
}

// patience refuses who failed too often.
func (o *operators) patience(name string) error {
	if wait := o.wrong.wait(name, time.Now()); wait > 0 {
		return operator.Errorf(operator.NotAuthenticated, "too many failures; try again in %s", wait.Round(time.Second))
	}
	return nil
}

// current asks for the password in force and has it proven. A prompt that nobody
// answers holds up no other dialogue of the account: this one begins with the answer.
func (o *operators) current(ctx context.Context, c *call, d *dialogue) (*os.File, error) {
	current, err := o.secret(ctx, c, operator.Turn{Ask: operator.AskCurrent})
	if err != nil {
		return nil, err
	}
	err = o.patience(c.name) // others may have failed meanwhile
	if err == nil && !o.dialogues.begin(c.name, d) {
		err = errElsewhere
	}
	if err != nil {
		_ = current.Close()
		return nil, err
	}
	worker := d.next
	defer worker.Close()
	d.next = o.pam.Start(ctx)
	answer, err := worker.Prove(ctx, c.name, c.uid, current)
	if err == nil && answer.Verdict == pamworker.Done {
		return current, nil
	}
	_ = current.Close()
	return nil, o.unproven(ctx, c, answer, err)
}

// unproven counts and words a current password that was not proven.
func (o *operators) unproven(ctx context.Context, c *call, answer pamworker.Answer, err error) error {
	switch {
	case err != nil:
		o.audit(ctx, c, c.name, "failed: the PAM stack did not answer")
		o.log.Error("a password could not be proven", "account", c.name, "error", err)
		return operator.Errorf(operator.Unavailable, "the password could not be checked; nothing was changed")
	case answer.Verdict == pamworker.Wrong:
		o.wrong.fail(c.name, time.Now())
		o.audit(ctx, c, c.name, "refused: current password not proven: "+printable.Clip(answer.Reason, 200))
		return operator.Errorf(operator.NotAuthenticated, "the current password is not correct")
	}
	o.audit(ctx, c, c.name, "failed: "+printable.Clip(answer.Reason, 200))
	return operator.Errorf(operator.Failed, "%s", printable.Clip(answer.Reason, 200))
}

// renew asks for new passwords until one is good, and sets it.
func (o *operators) renew(ctx context.Context, c *call, d *dialogue, a config.Application, current *os.File) error {
	t := operator.Turn{Ask: operator.AskNew}
	for left := triesForNew - 1; ; left-- {
		t.Left = left
		if d.next == nil {
			d.next = o.pam.Start(ctx)
		}
		fresh, err := o.secret(ctx, c, t)
		if err != nil {
			return err
		}
		weak, err := o.try(ctx, c, d, a, current, fresh)
		_ = fresh.Close()
		if err != nil || weak == "" {
			return err
		}
		o.audit(ctx, c, c.name, "refused: "+weak)
		if left == 0 {
			return operator.Errorf(operator.Policy, "%s", weak)
		}
		t.Weak = weak
	}
}

// try sets one new password on both sides. A weak one gives the stack's reason.
func (o *operators) try(ctx context.Context, c *call, d *dialogue, a config.Application, current, fresh *os.File) (weak string, err error) {
	k := o.keepers[a.Name]
	if err := k.takes(ctx, c.name); err != nil {
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
	worker := d.next
	d.next = nil
	defer worker.Close()
	d.doors = o.doorsMeanwhile(ctx, c)
	e := o.errands.begin(worker.Unit(), c.origin)
	defer o.errands.end(worker.Unit())
	answer, err := worker.Change(ctx, c.name, c.uid, current, fresh)
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

// held holds a new password of one's own to the configuration's rules; a weak one gives the reason.
func (o *operators) held(ctx context.Context, c *call, a config.Application, fresh *os.File) (weak string, err error) {
	var refusal *operator.Error
	switch err := o.lawful(ctx, a, c.name, fresh); {
	case errors.As(err, &refusal):
		return refusal.Text, nil
	case err != nil:
		o.audit(ctx, c, c.name, "failed: the password could not be judged")
		o.log.Error("a new password could not be judged", "account", c.name, "error", err)
		return "", operator.Errorf(operator.Unavailable, "the password could not be judged; nothing was changed")
	}
	return "", nil
}

func (o *operators) present(ctx context.Context, name string) (shadowsync.Account, error) {
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

// done tells whether a worker that did not say so has set the password: the OS knows, and
// if it holds another than before, the password itself.
func (o *operators) done(ctx context.Context, former shadowsync.Account, fresh *os.File) bool {
	ctx = context.WithoutCancel(ctx)
	now, err := o.present(ctx, former.Name)
	if err != nil {
		return true // persist tells
	}
	return now.Hash != former.Hash && !errors.Is(proof.Check(ctx, fresh, now.Hash), proof.ErrNotProven)
}

// persist brings the store along, which the PAM module has mostly done already. If
// it cannot, the OS side is put back.
func (o *operators) persist(ctx context.Context, c *call, e *errand, a config.Application, former shadowsync.Account, fresh *os.File) error {
	ctx = context.WithoutCancel(ctx) // what was begun is finished, whoever hangs up
	_, outcome := e.result()
	if outcome == nil || outcome.State != shadowsync.InSync {
		now, err := o.announce(ctx, a, former.Name, e, fresh)
		if err != nil {
			now.State, now.Reason = shadowsync.Pending, err.Error()
		}
		outcome = &now
	}
	if err := outcomeError(a, *outcome); err != nil {
		return o.putBack(ctx, c, e.undoing(former), err)
	}
	o.age(ctx, c, a, former.Name)
	return nil
}

// undoing is the change that takes the errand's back: of a password that was set over it
// since, nothing, nor of any that nobody could read.
func (e *errand) undoing(former shadowsync.Account) shadowsync.Change {
	hash, _ := e.result()
	back := shadowsync.Change{Account: former.Name, OS: former.Credential, Fields: shadowsync.FieldsPassword, Over: cmp.Or(hash, former.Hash), Origin: e.origin()}
	if former.Locked { // a new password has unlocked it; else, who locked it meanwhile was somebody else
		back.Fields |= shadowsync.FieldLocked
	}
	return back
}

// announce tells the keeper that the errand's password is on the OS side.
func (o *operators) announce(ctx context.Context, a config.Application, user string, e *errand, fresh *os.File) (shadowsync.Outcome, error) {
	account, err := o.present(ctx, user)
	if err != nil {
		return shadowsync.Outcome{}, fmt.Errorf("a changed account cannot be read: %w", err)
	}
	if !e.found(account.Hash) {
		return shadowsync.Outcome{}, errOvertaken
	}
	change := shadowsync.Change{Account: user, OS: account.Credential, Origin: e.origin()}
	if err := pair(ctx, o.engine.Reconciler(a.Name).Store, &change, []*os.File{fresh}); err != nil {
		return shadowsync.Outcome{}, err
	}
	return o.keepers[a.Name].changed(ctx, change), nil
}

// doorsMeanwhile looks for the ways in that stay open, which takes a process of its own.
func (o *operators) doorsMeanwhile(ctx context.Context, c *call) <-chan []string {
	doors := make(chan []string, 1)
	go func() { doors <- o.doors(ctx, c, shadowsync.Account{Name: c.name, UID: c.uid}) }()
	return doors
}

// farewellNotes waits for the other sessions' end and tells who survived, and which doors stay open.
func (o *operators) farewellNotes(d *dialogue, ends bool) []string {
	if !ends {
		return append([]string{"other sessions stay open, as the configuration says"}, <-d.doors...)
	}
	var notes []string
	select {
	case survivors := <-d.ended:
		notes = survived(survivors)
	case <-time.After(endsWithin):
		notes = []string{"whether all other sessions ended is not known yet"}
	}
	return append(notes, <-d.doors...)
}
