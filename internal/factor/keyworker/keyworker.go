// Package keyworker hands out the key of the second factors where it is a systemd credential. systemd
// decrypts it for a unit of its own, which is started when the key is first needed: never for the broker,
// because a credential that is missing fails the whole unit that names it. The unit ends when nobody has
// needed the key for a while; until then it is in memory that is never swapped, and nowhere else.
package keyworker

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/password/cleartext"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/internal/wire/worker"
)

// Deadline ends a unit, whatever happens to who started it.
const Deadline = time.Hour

// The unit ends when the key was not needed for idleFor, and another takes its place after renewAfter. An
// answer takes at most answerWithin: a TPM may need seconds.
const (
	idleFor      = 5 * time.Minute
	renewAfter   = Deadline / 2
	answerWithin = 10 * time.Second
	// restAfter is how long nobody else waits for a unit that did not answer: each would hold up the logins
	// behind it, also those with recovery codes.
	restAfter = answerWithin
)

// Command is the process in that unit.
var Command = worker.Command{Name: "key-worker", Short: "Hand out the key of the second factors", Main: serve}

type question struct {
	Name string `json:"name"` // of the credential
}

// answer comes with the key in a sealed descriptor, unless there is an error.
type answer struct {
	Error string `json:"error,omitempty"`
}

func serve(ctx context.Context, stdin *os.File) error {
	if err := cleartext.Harden(); err != nil {
		return err
	}
	conn, err := socket.FromFile(stdin)
	if err != nil {
		return err
	}
	defer conn.Close()
	for {
		var q question
		if _, err := conn.Receive(ctx, &q); errors.Is(err, io.EOF) {
			return nil // nobody asks any more
		} else if err != nil {
			return err
		}
		if err := hand(ctx, conn, q); err != nil {
			return err
		}
	}
}

func hand(ctx context.Context, conn *socket.Conn, q question) error {
	key, err := worker.Credential(q.Name, factor.KeySize)
	if err == nil && len(key) != factor.KeySize {
		err = errors.New("the key is too short")
	}
	defer clear(key)
	if err != nil {
		return conn.Send(ctx, answer{err.Error()})
	}
	f, err := socket.SealedMemfd(key)
	if err != nil {
		return err
	}
	defer f.Close()
	return conn.Send(ctx, answer{}, f)
}

// Key is a factor.Key that is a credential.
type Key struct {
	Name string // of the credential
	// Start starts Command in a unit that has the credential; nil: the system is only mounted.
	Start func(context.Context) (*worker.Process, error)

	mu     sync.Mutex
	unit   *worker.Process // nil: none runs
	since  time.Time
	idle   *time.Timer
	failed error     // of the last Get that had no answer
	rest   time.Time // until then that error is the answer
}

// Path names it for people.
func (k *Key) Path() string { return "a systemd credential" }

// Make makes none: whoever writes the configuration encrypts one.
func (k *Key) Make() error { return k.wrap(errors.New("it must be made with systemd-creds")) }

// Get returns the key, which the caller clears.
func (k *Key) Get() ([]byte, error) {
	if k.Start == nil {
		return nil, k.wrap(errors.New("only the running system has it"))
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if time.Now().Before(k.rest) {
		return nil, k.failed
	}
	ctx, cancel := context.WithTimeout(context.Background(), answerWithin)
	defer cancel()
	if k.unit != nil && time.Since(k.since) > renewAfter {
		k.end()
	}
	running := k.unit != nil
	key, err := k.ask(ctx)
	if err != nil && running { // that unit was killed
		key, err = k.ask(ctx)
	}
	if err != nil {
		err = k.wrap(err)
		if ctx.Err() != nil {
			k.failed, k.rest = err, time.Now().Add(restAfter)
		}
		return nil, err
	}
	k.idle.Reset(idleFor)
	return key, nil
}

func (k *Key) wrap(err error) error { return &factor.KeyError{Path: k.Path(), Err: err} }

// ask starts a unit if none runs, and asks it. After an error none runs.
func (k *Key) ask(ctx context.Context) (key []byte, err error) {
	if k.unit == nil {
		if k.unit, err = k.Start(ctx); err != nil {
			return nil, err
		}
		k.since, k.idle = time.Now(), time.AfterFunc(idleFor, k.Close)
		err = k.unit.Conn.SetLimits(socket.MaxPacket, 1)
	}
	if err == nil {
		key, err = k.receive(ctx)
	}
	if err != nil {
		k.end()
	}
	return key, err
}

func (k *Key) receive(ctx context.Context) ([]byte, error) {
	var a answer
	err := k.unit.Conn.Send(ctx, question{k.Name})
	var files []*os.File
	if err == nil {
		files, err = k.unit.Conn.Receive(ctx, &a)
	}
	for _, f := range files {
		defer f.Close()
	}
	switch {
	case err != nil:
		return nil, worker.Started(k.Name, err)
	case a.Error != "":
		return nil, errors.New(a.Error)
	case len(files) != 1:
		return nil, errors.New("the answer has no key")
	}
	return socket.ReadSecret(files[0], factor.KeySize)
}

// end ends the unit. The caller holds the lock.
func (k *Key) end() {
	k.idle.Stop()
	_ = k.unit.Kill() // at worst it ends at its deadline
	k.unit = nil
}

// Close ends the unit if one runs. The next Get starts another.
func (k *Key) Close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.unit != nil {
		k.end()
	}
}
