// Package accountworker does the work on an OS account that is not about its password and that the
// broker's sandbox prevents: it looks into the home for ways in, clears the failure counters below
// /run, runs the tools of shadow-utils that create and remove accounts, removes what those leave
// behind, and asks sudo what it lets accounts run. It runs in a unit of its own, answers one
// question, and exits.
//
//	accountworker.go  questions and answers
//	ahead.go          a worker that is started before its question
//	arrive.go         the creation of an account
//	takehome.go       a former user's home, taken over
//	remove.go         the removal of an account
package accountworker

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/internal/account/faillock"
	"github.com/shadowsync/shadowsync/internal/account/protect"
	"github.com/shadowsync/shadowsync/internal/account/sessions"
	"github.com/shadowsync/shadowsync/internal/term/printable"
	"github.com/shadowsync/shadowsync/internal/wire/worker"
	"github.com/shadowsync/shadowsync/systemd"
)

var job = worker.Job[question, answer]{Name: "worker-account", Short: "Look after an account, for the daemon", Answer: answerOne}

// Command is the job as a hidden command of the root tool.
var Command = job.Command()

// deadline bounds one worker's run.
const deadline = 10 * time.Second

type question struct {
	Doors   *doors `json:"doors,omitempty"`
	Forgive string `json:"forgive,omitempty"` // the account whose failure counters are cleared
	// Run is a command of shadow-utils with its arguments; only those of commands are run.
	Run    []string   `json:"run,omitempty"`
	Create *Arrival   `json:"create,omitempty"`
	Check  bool       `json:"check,omitempty"` // only whether Create would refuse the name
	Undo   *Made      `json:"undo,omitempty"`  // takes back what Create made
	Remove *Departure `json:"remove,omitempty"`
	Sudo   []string   `json:"sudo,omitempty"` // the accounts whose sudo rules are wanted
}

// commands are the programs that a question may name.
var commands = map[string]string{ //nolint:gosec // paths of programs, no credentials
	"useradd": "/usr/sbin/useradd", "usermod": "/usr/sbin/usermod", "userdel": "/usr/sbin/userdel", "gpasswd": "/usr/bin/gpasswd",
}

// environment is the complete environment of these programs.
var environment = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}

type doors struct {
	Name string `json:"name"`
	UID  int    `json:"uid"`
	Home string `json:"home"`
}

type answer struct {
	Doors   []sessions.Door           `json:"doors,omitempty"`
	Left    string                    `json:"left,omitempty"`    // what a removed account left behind, and why
	Refused string                    `json:"refused,omitempty"` // why an account must not be created
	Made    Made                      `json:"made,omitzero"`
	Sudo    map[string]protect.Answer `json:"sudo,omitempty"`
}

func answerOne(ctx context.Context, q question, _ []*os.File) (a answer, err error) {
	switch {
	case q.Doors != nil:
		a.Doors, err = sessions.Doors("/", q.Doors.Name, q.Doors.UID, q.Doors.Home)
	case q.Forgive != "":
		_, err = faillock.Of("/").Clear(q.Forgive)
	case len(q.Run) > 0:
		err = execute(ctx, q.Run...)
	case q.Create != nil && q.Undo != nil:
		err = q.Create.undo(ctx, *q.Undo)
	case q.Create != nil && q.Check:
		a.Refused, err = q.Create.refuses()
	case q.Create != nil:
		a.Made, a.Refused, err = q.Create.arrive(ctx)
	case q.Remove != nil:
		a.Left, err = q.Remove.remove(ctx)
	case len(q.Sudo) > 0:
		a.Sudo, err = protect.AskSudo(ctx, q.Sudo)
	}
	return a, err
}

// execute runs a command; on failure the error contains its output.
func execute(ctx context.Context, args ...string) error {
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

// Workers asks workers.
type Workers struct{ Helpers *worker.Helpers }

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

// Run runs a command of shadow-utils that creates, changes or removes an account.
func (w *Workers) Run(ctx context.Context, args ...string) error {
	_, err := w.ask(ctx, question{Run: args})
	return err
}

// Create creates an account with useradd(8), or returns why it must not be created.
func (w *Workers) Create(ctx context.Context, arrival Arrival) (made Made, refused string, err error) {
	a, err := w.ask(ctx, question{Create: &arrival})
	return a.Made, a.Refused, err
}

// Refuses returns why Create would refuse the account now; empty: there is no reason.
func (w *Workers) Refuses(ctx context.Context, arrival Arrival) (refused string, err error) {
	a, err := w.ask(ctx, question{Create: &arrival, Check: true})
	return a.Refused, err
}

// Undo takes back what Create made, and nothing else.
func (w *Workers) Undo(ctx context.Context, arrival Arrival, made Made) error {
	_, err := w.ask(ctx, question{Create: &arrival, Undo: &made})
	return err
}

// Remove removes an account and what the next account of its name or uid would inherit. It returns
// what it could not remove after the account was gone; empty: nothing.
func (w *Workers) Remove(ctx context.Context, d Departure) (left string, err error) {
	a, err := w.ask(ctx, question{Remove: &d})
	return a.Left, err
}

// AskSudo asks what sudo's rules let accounts run, as many accounts at a time as fit into a packet.
// Accounts that it had no time for are marked Later.
func (w *Workers) AskSudo(ctx context.Context, names []string) (map[string]protect.Answer, error) {
	answers := make(map[string]protect.Answer, len(names))
	since := time.Now()
	for some := range slices.Chunk(names, mostAsked) {
		if time.Since(since) > protect.AskWithin {
			for _, name := range some {
				answers[name] = protect.Answer{Unknown: "sudo was not asked in time", Later: true}
			}
			continue
		}
		a, err := w.ask(ctx, question{Sudo: some})
		if err != nil {
			return nil, err
		}
		maps.Copy(answers, a.Sudo)
	}
	return answers, nil
}

// mostAsked bounds the accounts in one question about sudo's rules, and so the size of its answer:
// a name has up to 256 bytes, and the reason why sudo could not be asked as many again.
const mostAsked = 100

func (w *Workers) ask(ctx context.Context, q question) (a answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	p, err := w.start(ctx, deadline)
	if err != nil {
		return a, err
	}
	defer p.Conn.Close() // it ends by itself, at the latest at its deadline
	return job.Ask(ctx, p, q)
}

func (w *Workers) start(ctx context.Context, within time.Duration) (*worker.Process, error) {
	return w.Helpers.Start(ctx, job.Name, systemd.HelperUnit{
		Name: w.Helpers.Name("account-"), What: "Look after an account", Deadline: within,
	})
}
