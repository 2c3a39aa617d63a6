package broker

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/shadowsync/shadowsync/internal/account/directory"
	"github.com/shadowsync/shadowsync/internal/broker/keeper"
	"github.com/shadowsync/shadowsync/internal/broker/operators"
	"github.com/shadowsync/shadowsync/internal/broker/web"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/detect/origin"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/password/pamworker"
	"github.com/shadowsync/shadowsync/internal/term/printable"
	"github.com/shadowsync/shadowsync/internal/wire/module"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/systemd"
)

// refusal is the answer to a request that is not allowed: the peer's credentials from the kernel
// decide, and an operation that answerRoot does not know is refused.
type refusal struct {
	Error string `json:"error"`
}

// listen takes the sockets from systemd, or creates them if the daemon was started by hand.
func listen() (map[string]*socket.Listener, error) {
	listeners, err := socket.FromSystemd()
	if err != nil || len(listeners) > 0 {
		return listeners, err
	}
	modes := map[string]os.FileMode{systemd.RootSocket: 0o600, systemd.OperatorSocket: 0o666, systemd.FactorSocket: 0o600}
	for name, mode := range modes {
		l, err := socket.Listen(filepath.Join(engine.RunDir, name+".sock"), mode)
		if err != nil {
			return nil, fmt.Errorf("cannot listen: %w", err)
		}
		listeners[name] = l
	}
	return listeners, nil
}

// serve answers on one socket. Each socket has its own server and limits, so that a flood on one
// does not delay the others.
func (b *Broker) serve(ctx context.Context, name string, l *socket.Listener) error {
	server := &socket.Server{Handler: b.answerRoot, Place: invokers, PerPlace: 128, Total: 256, Kept: 64, Timeout: 3 * time.Second, Log: b.log}
	switch name {
	case systemd.FactorSocket:
		server = &socket.Server{Handler: b.answerLogin, PerPlace: codeConnections, Total: codeConnections, Timeout: 3 * time.Second, Log: b.log}
	case systemd.OperatorSocket:
		server = &socket.Server{Handler: b.prompts.Answer, Place: b.prompts.Place, Kept: 8, Timeout: operators.Timeout, Log: b.log}
	case systemd.WebSocket:
		pages := &web.Server{Operators: b.prompts.ForPages(), Config: func() *config.Config { return b.engine.Load().Config }, Born: time.Now(), Log: b.log}
		go pages.Follow(ctx, b.shadowed)
		server = &socket.Server{Handler: pages.Answer, PerPlace: pageConnections, Total: pageConnections + 8, Kept: 8, Timeout: web.Timeout, Log: b.log}
	}
	return server.Serve(ctx, l)
}

// pageConnections bounds the requests of pages that are served at a time: all come from one account.
const pageConnections = 64

// invokers groups the connections on root's socket by the caller's real uid: any user who runs the
// setuid passwd appears there as uid 0. Their connections must not use up the share of root's own
// passwd.
func invokers(p socket.Peer) int {
	uid := origin.RealUID(p.PID)
	if uid == nil || p.Process != nil && !p.Alive() {
		return operators.Strangers
	}
	return *uid
}

// operators returns the server of the operators' socket; ctx ends its dialogues.
func (b *Broker) operators(ctx context.Context) *operators.Server {
	pam := &pamworker.Workers{Helpers: b.helpers}
	return operators.New(operators.Options{
		Engine: b.engine.Load, Guard: b.guard, Keepers: b.keepers, Dialogues: b.dialogues, Errands: &b.errands,
		Vouch: func(account string) { b.vouchers.give(account, 0) },
		PAM:   pam, Proves: pam.ProveOf, Accounts: b.accounts, Proofs: b.proofs, Directory: directory.Helper(b.helpers),
		Log: b.log, Life: ctx, File: b.file, Relist: b.relist, WrongCodes: &b.codes.wrong,
	})
}

// answerRoot answers in time or not at all. Without an answer the PAM module times out, says that
// the change is queued, and asks nothing for half a minute. Otherwise chpasswd with ten thousand
// lines would wait that long for each line.
func (b *Broker) answerRoot(connection context.Context, r *socket.Request) {
	ctx, cancel := context.WithTimeout(connection, keeper.AnswerWithin)
	defer cancel()
	var q module.Request
	files, err := r.Conn.Receive(ctx, &q)
	if err != nil {
		b.log.Warn("a request could not be read", "pid", r.Peer.PID, "error", err)
		return
	}
	defer socket.CloseAll(files)
	e := b.engine.Load() // a request is answered by one configuration
	reply := func() error { return r.Conn.Send(connection, refusal{Error: "not permitted"}) }
	answer := func(a module.Answer) { reply = func() error { return a.Send(connection, r.Conn, q) } }
	switch {
	case r.Peer.UID != 0:
	case q.Op == "pam-changed":
		a, by := b.pamChanged(ctx, e, r.Peer, q.User, files)
		answer(a)
		defer b.reviewLater(e, r.Peer, by, q.User, files) // after passwd got its answer
	case q.Op == "health":
		answer(says(b.health(ctx, e)))
	case q.Op == "configuration":
		answer(says(e.Config.Revision))
	case q.Op == "judge", q.Op == "judge-exempt":
		answer(b.judge(ctx, e, r.Peer, q.User, q.Op == "judge-exempt", files))
	case q.Op == "pam-authenticated":
		b.authenticated(ctx, e, r.Peer, q.User, files)
		answer(says("")) // a login neither waits for the result nor sees it
	}
	if ctx.Err() != nil {
		more, _ := r.Conn.Receive(connection, &module.Request{}) // until the peer hangs up
		socket.CloseAll(more)
		return
	}
	if err := reply(); err != nil {
		b.log.Info("an answer could not be given", "pid", r.Peer.PID, "error", err)
	}
}

// health returns why the broker cannot do its work, or "" if it can.
func (b *Broker) health(ctx context.Context, e *engine.Engine) string {
	err := e.State.Rehearse(ctx)
	for _, a := range e.Config.Applications {
		if err == nil {
			_, err = e.State.Survey(ctx, a.Name, a.Accounts)
		}
	}
	if err == nil {
		return ""
	}
	b.spoil(err)
	return printable.Quote(err.Error())
}

// who returns the origin of what a peer asks for.
func who(e *engine.Engine, peer socket.Peer) shadowsync.Origin {
	return e.OriginOf(origin.OfPeer(peer), shadowsync.SeenByPAM)
}
