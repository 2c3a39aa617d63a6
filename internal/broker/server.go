package broker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/shadowsync/shadowsync/internal/accountworker"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/origin"
	"github.com/shadowsync/shadowsync/internal/pamworker"
	"github.com/shadowsync/shadowsync/internal/proof"
	"github.com/shadowsync/shadowsync/internal/socket"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// The sockets, by the names that their units give them.
const (
	rootSocket     = "root"
	operatorSocket = "operator"
)

// answerWithin is when work for the PAM module is answered at the latest: it waits two seconds.
const answerWithin = 1800 * time.Millisecond

// request is what may be asked. Every operation is decided by the kernel's word
// about the peer; what is not listed in operations is refused.
type request struct {
	Op   string `json:"op"`
	User string `json:"user"`
}

type answer struct {
	Message string `json:"message"`
}

// refusal is the answer to everything that is not allowed.
type refusal struct {
	Error string `json:"error"`
}

// listen takes systemd's sockets, or makes them when started by hand.
func listen() (map[string]*socket.Listener, error) {
	listeners, err := socket.FromSystemd()
	if err != nil || len(listeners) > 0 {
		return listeners, err
	}
	modes := map[string]os.FileMode{rootSocket: 0o600, operatorSocket: 0o666}
	for name, mode := range modes {
		l, err := socket.Listen(filepath.Join(engine.RunDir, name+".sock"), mode)
		if err != nil {
			return nil, fmt.Errorf("cannot listen: %w", err)
		}
		listeners[name] = l
	}
	return listeners, nil
}

// serve answers on one socket. The two have servers and limits of their own, so
// that a flood on one does not delay the other.
func (b *Broker) serve(ctx context.Context, name string, l *socket.Listener) error {
	server := &socket.Server{Handler: b.answerRoot, PerUID: 256, Total: 256, Timeout: 3 * time.Second, Log: b.log}
	if name == operatorSocket {
		o := b.operators(ctx)
		server = &socket.Server{
			Handler: func(ctx context.Context, r *socket.Request) { o.with(b.engine.Load()).answer(ctx, r) },
			Timeout: dialogueFor + firstPacket, Log: b.log,
		}
	}
	return server.Serve(ctx, l)
}

// operators are answered for as long as ctx lives.
func (b *Broker) operators(ctx context.Context) *operators {
	binary, err := os.Executable()
	if err != nil {
		b.log.Error("no worker can be started for operators", "error", err)
	}
	return &operators{
		rules: rules, guard: b.guard, keepers: b.keepers, dialogues: b.dialogues, errands: &b.errands, vouchers: &b.vouchers, log: b.log, life: ctx,
		file: b.file, relist: b.relist, kept: newKept(),
		pam:      &pamworker.Workers{Bus: b.bus, Binary: binary},
		accounts: &accountworker.Workers{Bus: b.bus, Binary: binary},
	}
}

// answerRoot answers in time or not at all: the PAM module is left to its own time-out,
// which has it say that the change is queued, and ask nothing for half a minute. Else
// chpasswd of ten thousand lines would wait as long for each.
func (b *Broker) answerRoot(connection context.Context, r *socket.Request) {
	ctx, cancel := context.WithTimeout(connection, answerWithin)
	defer cancel()
	var q request
	files, err := r.Conn.Receive(ctx, &q)
	if err != nil {
		b.log.Warn("a request could not be read", "pid", r.Peer.PID, "error", err)
		return
	}
	defer func() { closeAll(files) }()
	var reply any = refusal{Error: "not permitted"}
	switch {
	case r.Peer.UID != 0:
	case q.Op == "pam-changed":
		message, by := b.pamChanged(ctx, r.Peer, q.User, files)
		reply = answer{Message: message}
		defer func() { // once passwd was answered
			if b.reviewLater(r.Peer, by, q.User, files) {
				files = nil
			}
		}()
	case q.Op == "judge", q.Op == "judge-exempt":
		reply = answer{Message: b.judge(ctx, r.Peer, q.User, q.Op == "judge-exempt", files)}
	case q.Op == "pam-authenticated":
		if b.authenticated(ctx, r.Peer, q.User, files) {
			files = nil
		}
		reply = answer{} // a login waits for nothing, and is told nothing
	}
	if ctx.Err() != nil {
		more, _ := r.Conn.Receive(connection, &request{}) // until it hangs up
		closeAll(more)
		return
	}
	if err := r.Conn.Send(connection, reply); err != nil {
		b.log.Info("an answer could not be given", "pid", r.Peer.PID, "error", err)
	}
}

// pamChanged deals with a change that the PAM module announced from inside
// passwd, login, su or sshd, and says what passwd shall print, and who made it if it is
// in force. To a PAM worker of ours nothing: the operator is told by the dialogue.
func (b *Broker) pamChanged(ctx context.Context, peer socket.Peer, user string, token []*os.File) (message string, by shadowsync.Origin) {
	a, ok := b.engine.Load().Config.Managing(user)
	if !ok {
		return "", by
	}
	k := b.keepers[a.Name]
	defer k.announcing.begin()()
	by = b.who(peer)
	errand := b.errands.of(by.Unit)
	switch {
	case errand != nil:
		by = errand.origin()
	case pamworker.IsUnit(by.Unit): // of a broker before this one
		by.SeenBy = shadowsync.SeenByPcli
	}
	snapshot, err := b.engine.Load().Accounts.Read(ctx, []string{user})
	if err != nil {
		b.log.Warn("a changed account cannot be read", "account", user, "error", err)
		return queued(user, a.Unit), by
	}
	account, there := snapshot.Accounts[user]
	if !there { // of LDAP or sssd: what was changed is not the password that is kept in step
		return elsewhere(user), shadowsync.Origin{}
	}
	if b.overwritten(ctx, peer, account.Hash, token) {
		return fmt.Sprintf("shadowsync: %s: NOT persisted (another program wrote over it at once); set it again", user), shadowsync.Origin{}
	}
	if errand != nil {
		errand.found(account.Hash)
	}
	change := shadowsync.Change{Account: user, OS: account.Credential, Origin: by}
	err = pair(ctx, b.engine.Load().Reconciler(a.Name).Store, &change, token)
	if err != nil {
		b.log.Warn("the store's hash could not be made", "account", user, "error", err)
	}
	if _, writer := b.witness(a.Unit)(); writer == shadowsync.WriterApplication || errors.Is(err, proof.ErrNotProven) {
		// Somebody else set another value meanwhile: this word is not about that one.
		change.Origin = shadowsync.Origin{At: by.At, SeenBy: shadowsync.SeenByWatch}
	}
	outcome := k.changed(ctx, change)
	if errand != nil {
		errand.settle(outcome)
		return "", by
	}
	guard, err := b.guard.Status(a.Unit)
	if err != nil {
		b.log.Warn("the guard cannot be read", "unit", a.Unit, "error", err)
	}
	return Message(a, outcome, slices.Contains(guard.Accounts, user)), by
}

// overwritten tells whether the OS already holds another password than the one
// announced: an application that starts at this very moment may write its old
// one over it. That is asked only where somebody else wrote the file last, for
// the proof costs as much as a login.
func (b *Broker) overwritten(ctx context.Context, peer socket.Peer, osHash string, token []*os.File) bool {
	by, known := b.writers.wrote()
	if len(token) == 0 || !known || by.PID == peer.PID {
		return false
	}
	return errors.Is(proof.Check(ctx, token[0], osHash), proof.ErrNotProven)
}

// who reads the facts about the peer while it waits for the answer, and so still
// lives; if it is gone meanwhile, another process may have its pid, and nothing is said.
func (b *Broker) who(peer socket.Peer) shadowsync.Origin {
	p := origin.FromPID(peer.PID)
	if peer.Process != nil && !peer.Alive() {
		p = origin.Process{PID: peer.PID}
	}
	return b.engine.Load().OriginOf(p, shadowsync.SeenByPAM)
}

// pair completes a change with what the store shall hold for its hash where that is
// another, or with why the store cannot hold that password at all.
func pair(ctx context.Context, store shadowsync.CredentialStore, change *shadowsync.Change, token []*os.File) error {
	hash, err := translate(ctx, store.Capabilities().Formats, change.OS.Hash, token)
	if refused := (*shadowsync.RefusedError)(nil); errors.As(err, &refused) {
		change.Verdict, change.Reason = shadowsync.VerdictRefused, refused.Reason
		return nil
	}
	change.StoreHash = hash
	return err
}

// translate makes the store's hash from the token where the application cannot
// verify the OS's. Elsewhere the descriptor is closed unread.
func translate(ctx context.Context, formats shadowsync.Formats, osHash string, token []*os.File) (string, error) {
	if len(token) == 0 || formats.Accept(osHash) {
		return "", nil
	}
	return proof.Make(ctx, token[0], osHash, formats)
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close() // read-only descriptors of memory
	}
}
