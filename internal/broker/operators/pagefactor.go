package operators

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"time"

	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/factor/guide"
	"github.com/shadowsync/shadowsync/internal/factor/mail"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/shadowsync/web"
)

// mailWait is how long a page waits to hear that a code was mailed. The mail goes on without it.
const mailWait = 5 * time.Second

// codeAtPage takes a code, as a step of signing in.
func (o *Server) codeAtPage(ctx context.Context, c *call) (Reply, error) {
	taken, err := o.takeCode(ctx, c, c.files[0])
	if err != nil {
		return Reply{}, err
	}
	signed, err := o.goOn(ctx, c)
	if few := guide.Few(taken.RecoveryLeft, "the page of the second factor"); err == nil && few != "" {
		signed.Note = few
	}
	return Reply{Result: &signed, Signed: &signed}, err
}

// lostAtPage mails a code to who lost the authenticator.
func (o *Server) lostAtPage(ctx context.Context, c *call) (Reply, error) {
	if !o.recoverable(c.page.own) {
		return Reply{}, operator.Errorf(operator.Conflict, "no code can be mailed; an administrator can reset your second factor")
	}
	sent := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), mail.Within)
		defer cancel()
		_, err := o.mailCode(ctx, c)
		sent <- err
	}()
	late := time.NewTimer(mailWait)
	defer late.Stop()
	note := guide.Sent(factor.Masked(c.page.own.Mail), true)
	var out *factor.OutError
	select {
	case err := <-sent:
		switch {
		case errors.As(err, &out):
			note = out.Error() // it may have come by now
		case err != nil:
			return Reply{}, o.codeError(c, err)
		}
	case <-late.C: // the audit tells root how it ended
		note = guide.Sent(factor.Masked(c.page.own.Mail), false)
	}
	mailed := &web.Mailed{Address: factor.Masked(c.page.own.Mail), Signed: web.Signed{Next: web.NextMailed, Note: note}}
	o.arrive(ctx, c, web.NextMailed)
	return Reply{Result: mailed, Signed: &mailed.Signed}, nil
}

// regainAtPage takes the mailed code, or the enrolment code that it gave, and begins a new enrolment.
func (o *Server) regainAtPage(ctx context.Context, c *call) (Reply, error) {
	c.page.script.secrets = map[operator.Secret]*os.File{operator.AskMailed: c.files[0]}
	return o.setUp(ctx, c, func() error { return o.lostProven(ctx, c, true) })
}

// enrolAtPage begins an enrolment, after a proof: of who has a second factor, a code of it, and the factor works
// until the other authenticator is confirmed. An enrolment code comes after a reset.
func (o *Server) enrolAtPage(ctx context.Context, c *call) (Reply, error) {
	if len(c.files) > 0 {
		c.page.script.secrets = map[operator.Secret]*os.File{operator.AskEnrolment: c.files[0]}
	}
	return o.setUp(ctx, c, func() error { return o.enrolProven(ctx, c, c.page.own) })
}

// setUp runs a dialogue up to where an authenticator is set up.
func (o *Server) setUp(ctx context.Context, c *call, dialogue func() error) (Reply, error) {
	if err := dialogue(); !errors.Is(err, errWaits) {
		return Reply{}, err
	}
	shown := c.page.script.asked.Setup
	setup := &web.Setup{Signed: web.Signed{Next: web.NextConfirm}, Key: shown.Key, Address: shown.Address, Enrolment: shown.Enrolment}
	if c.page.session.Stage != "" {
		o.arrive(ctx, c, web.NextConfirm)
	}
	return Reply{Result: setup, Signed: &setup.Signed}, nil
}

// confirmAtPage ends an enrolment. The session has shown a code of the new factor then.
func (o *Server) confirmAtPage(ctx context.Context, c *call) (Reply, error) {
	recovery, err := o.confirm(ctx, c, c.files[0])
	if err != nil {
		return Reply{}, err
	}
	return o.handed(ctx, c, recovery)
}

// renewAtPage replaces the recovery codes, after a code.
func (o *Server) renewAtPage(ctx context.Context, c *call) (Reply, error) {
	if err := o.renewProven(ctx, c); err != nil {
		return Reply{}, err
	}
	return o.handed(ctx, c, c.page.script.last.Recovery)
}

// handed hands out new recovery codes, whatever else fails from here on: they matter more.
func (o *Server) handed(ctx context.Context, c *call, recovery []string) (Reply, error) {
	confirmed := &web.Confirmed{Recovery: recovery}
	err := o.rememberShell(ctx, c)
	if err == nil {
		confirmed.Signed, err = o.goOn(ctx, c)
	}
	if err != nil {
		o.Log.Warn("somebody at a page is signed out", "account", c.name, "error", err)
		return Reply{Result: confirmed, Ended: true}, nil
	}
	return Reply{Result: confirmed, Signed: &confirmed.Signed}, nil
}

// setMailAtPage sets the address on record, after a code.
func (o *Server) setMailAtPage(ctx context.Context, c *call) (Reply, error) {
	var m web.Mail
	if json.Unmarshal(c.request.Args, &m) != nil {
		return Reply{}, operator.Errorf(operator.Usage, "set mail: not understood")
	}
	if err := factor.CheckAddress(m.Address); err != nil {
		return Reply{}, operator.Errorf(operator.Usage, "%v", err)
	}
	return Reply{}, o.setMailProven(ctx, c, m.Address)
}
