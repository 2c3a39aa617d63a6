// Package accountworker does what concerns an OS account besides its password and
// needs what the broker's sandbox hides: a look into the home for ways in, the
// failure counters below /run, the tools of shadow-utils that make and remove accounts,
// what those leave behind, and sudo's word about whom it lets. It runs in a unit of its
// own, for one question, and exits.
//
//	accountworker.go  questions and answers
//	remove.go         the end of an account
//	sudo.go           what sudo allows
package accountworker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"

	"github.com/shadowsync/shadowsync/internal/faillock"
	"github.com/shadowsync/shadowsync/internal/printable"
	"github.com/shadowsync/shadowsync/internal/sessions"
	"github.com/shadowsync/shadowsync/internal/socket"
	"github.com/shadowsync/shadowsync/systemd"
)

// Argument is the root tool's hidden command that runs Main.
const Argument = "worker-account"

// deadline bounds a worker.
const deadline = 10 * time.Second

type question struct {
	Doors   *doors `json:"doors,omitempty"`
	Forgive string `json:"forgive,omitempty"` // whose failures to forget
	// Run is a command of shadow-utils with its arguments; only those of commands are run.
	Run    []string   `json:"run,omitempty"`
	Remove *Departure `json:"remove,omitempty"`
	Sudo   string     `json:"sudo,omitempty"` // whose rules to look for
}

// commands are the programs that a question may name.
var commands = map[string]string{ //nolint:gosec // paths of programs, no credentials
	"useradd": "/usr/sbin/useradd", "usermod": "/usr/sbin/usermod", "userdel": "/usr/sbin/userdel", "gpasswd": "/usr/bin/gpasswd",
}

// environment is all that they get.
var environment = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}

type doors struct {
	Name string `json:"name"`
	UID  int    `json:"uid"`
	Home string `json:"home"`
}

type answer struct {
	Doors []sessions.Door `json:"doors,omitempty"`
	Left  string          `json:"left,omitempty"` // what an account that is gone has left behind, and why
	Rules string          `json:"rules,omitempty"`
	Error string          `json:"error,omitempty"`
}

// Main is the worker: one question on stdin, one answer, and the end.
func Main(ctx context.Context, stdin *os.File) error {
	conn, err := socket.FromFile(stdin)
	if err != nil {
		return err
	}
	defer conn.Close()
	var q question
	if _, err := conn.Receive(ctx, &q); err != nil {
		return err
	}
	a, err := q.answer(ctx)
	if err != nil {
		a.Error = err.Error()
	}
	return conn.Send(ctx, a)
}

func (q question) answer(ctx context.Context) (a answer, err error) {
	switch {
	case q.Doors != nil:
		a.Doors, err = sessions.Doors("/", q.Doors.Name, q.Doors.UID, q.Doors.Home)
	case q.Forgive != "":
		_, err = faillock.Of("/").Clear(q.Forgive)
	case len(q.Run) > 0:
		err = execute(ctx, q.Run)
	case q.Remove != nil:
		a.Left, err = q.Remove.remove(ctx)
	case q.Sudo != "":
		a.Rules, err = sudoRules(ctx, q.Sudo)
	}
	return a, err
}

// execute runs a command; what it says on an error is the error.
func execute(ctx context.Context, args []string) error {
	path, ok := commands[args[0]]
	if !ok {
		return fmt.Errorf("cannot run %q: not a command for accounts", args[0])
	}
	command := exec.CommandContext(ctx, path, args[1:]...)
	command.Env, command.Dir = environment, "/"
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", args[0], err, printable.Clip(strings.TrimSpace(string(out)), 300))
	}
	return nil
}

// Workers starts workers.
type Workers struct {
	Bus    *systemd.Bus
	Binary string // the root tool
	made   atomic.Int64
}

// Doors lists the ways in that a changed password leaves open.
func (w *Workers) Doors(ctx context.Context, name string, uid int, home string) ([]sessions.Door, error) {
	a, err := w.ask(ctx, question{Doors: &doors{name, uid, home}})
	return a.Doors, err
}

// Forgive clears an account's failure counters.
func (w *Workers) Forgive(ctx context.Context, name string) error {
	_, err := w.ask(ctx, question{Forgive: name})
	return err
}

// Run runs a command of shadow-utils that adds, changes or removes an account.
func (w *Workers) Run(ctx context.Context, args ...string) error {
	_, err := w.ask(ctx, question{Run: args})
	return err
}

// Remove removes an account, and what would fall to the next one of its name or uid. It
// tells what it could not remove once the account was gone; empty: nothing.
func (w *Workers) Remove(ctx context.Context, d Departure) (left string, err error) {
	a, err := w.ask(ctx, question{Remove: &d})
	return a.Left, err
}

// SudoRules identifies what sudo lets an account run; empty: nothing.
func (w *Workers) SudoRules(ctx context.Context, name string) (string, error) {
	a, err := w.ask(ctx, question{Sudo: name})
	return a.Rules, err
}

func (w *Workers) ask(ctx context.Context, q question) (a answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	conn, theirs, err := socket.Pair()
	if err != nil {
		return a, fmt.Errorf("cannot start an account worker: %w", err)
	}
	defer conn.Close()
	err = w.Bus.StartHelper(ctx, systemd.HelperUnit{
		Name: fmt.Sprintf("account-%d-%d", os.Getpid(), w.made.Add(1)), What: "Look after an account", Binary: w.Binary,
		Args: []string{Argument}, Stdin: theirs, Deadline: deadline,
	})
	_ = theirs.Close()
	if err != nil {
		return a, err
	}
	if err = conn.Send(ctx, q); err == nil {
		_, err = conn.Receive(ctx, &a)
	}
	if err == nil && a.Error != "" {
		err = errors.New(a.Error)
	}
	return a, err
}
