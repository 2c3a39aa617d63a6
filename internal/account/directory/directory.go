// Package directory finds accounts of a directory: those that a service of nsswitch.conf(5) other than
// the local files knows, such as sss or ldap. It contains no client of any directory.
//
// Such a service may wait for a server: nslcd(8) takes nine seconds if that is down. So a process of its
// own asks it, and ends at its deadline. It never asks about what the machine's own
// files say of a name: whether an account is local is for the caller to decide, by shadow(5).
//
// An account that a service does not have is told from a service that does not answer, because nslcd or sssd is
// stopped or overloaded. One that does not answer may have the account, or give it a group, so nothing is said then,
// even if another service has it. Two cases look like an answer, and nothing tells them from one: sssd answers from its
// cache while its server is down, and says of an account that it has never seen, or of a new group, that there is none.
// And as Fedora builds it, sss says so of everything while sssd is stopped (--enable-sss-default-nss-plugin).
//
//	directory.go  who is asked for, and how a caller has it asked
//	ask.go        what the process that asks puts together
//	modules.go    how it asks a service: the cgo part
//	services.go   which services there are, in which order
package directory

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/shadowsync/shadowsync/internal/account/shadowfile"
	"github.com/shadowsync/shadowsync/internal/term/printable"
	"github.com/shadowsync/shadowsync/internal/wire/worker"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/systemd"
)

// Within bounds a look-up. A directory that answers does so in a fraction of it.
const Within = 4 * time.Second

// Query names an account, or its uid if the name is empty.
type Query struct {
	Name string `json:"name,omitempty"`
	UID  int    `json:"uid,omitempty"`
	// Names asks only which of these names a directory has, too.
	Names []string `json:"names,omitempty"`
}

func (q Query) String() string {
	if q.Name == "" {
		return fmt.Sprintf("uid %d", q.UID)
	}
	return printable.Clip(q.Name, 64)
}

// Person is an account of a directory. Its groups are all those that the system counts it to, by the
// names that the system has for them.
type Person struct {
	shadowfile.Person
	GIDs    map[string]int // of the groups
	Service string         // of nsswitch.conf(5), such as "sss"
}

// Account is the person as an account whose credential is not here.
func (p Person) Account() shadowsync.Account {
	return shadowsync.Account{Name: p.Name, UID: p.UID}
}

type answer struct {
	Person *Person           `json:"person"` // nil: there is none
	Known  map[string]string `json:"known,omitempty"`
	Silent string            `json:"silent,omitempty"` // the service that did not answer
}

var job = worker.Job[Query, answer]{Name: "worker-directory", Short: "Look up an account of a directory", Answer: answerOne}

// Command is the job as a hidden command of the root tool.
var Command = job.Command()

// answerOne leaves the deadline to who asks, and kills the worker: nothing ends a module that waits for its service.
func answerOne(_ context.Context, q Query, _ []*os.File) (a answer, err error) {
	text, err := os.ReadFile(nsswitchFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return a, err
	}
	return system{text, modules{}}.answer(q)
}

func (s system) answer(q Query) (a answer, err error) {
	if len(q.Names) > 0 {
		a.Known, err = s.known(q.Names)
	} else {
		var p Person
		if p, err = s.look(q); err == nil {
			a.Person = &p
		}
	}
	var silent *unansweredError
	switch {
	case errors.Is(err, errMissing):
		return a, nil
	case errors.As(err, &silent):
		return answer{Silent: silent.by}, nil
	}
	return a, err
}

// unansweredError: it is not known what the directory has.
type unansweredError struct{ by string }

func (e *unansweredError) Error() string {
	return fmt.Sprintf("the directory does not answer (%s)", printable.Quote(e.by))
}
func (e *unansweredError) Unwrap() error { return shadowsync.ErrUnavailable }

// unanswered is the error where no service can be named.
func unanswered() error { return &unansweredError{strings.Join(Services(Accounts), ", ")} }

// Child asks in a child of this process.
func Child(ctx context.Context, q Query) (Person, error) { return find(ctx, q, child) }

func child(context.Context) (*worker.Process, error) { return worker.Child(job.Name) }

// mostNames bounds the names in one question, and so the size of its packet: a name has up to 256 bytes.
const mostNames = 200

// Known returns which of these names a directory has, each with its service. It asks in children of this
// process, for [Within] in all.
func Known(ctx context.Context, names []string) (map[string]string, error) {
	all := map[string]string{}
	if len(Services(Accounts)) == 0 {
		return all, nil
	}
	short, cancel := context.WithTimeout(ctx, Within)
	defer cancel()
	names = slices.DeleteFunc(slices.Clone(names), unspeakable)
	for some := range slices.Chunk(names, mostNames) {
		a, err := ask(short, Query{Names: some}, child)
		if err != nil {
			return all, explain(ctx, short, err)
		}
		maps.Copy(all, a.Known)
	}
	return all, nil
}

// ask has a process answer that is started for it.
func ask(ctx context.Context, q Query, start func(context.Context) (*worker.Process, error)) (answer, error) {
	process, err := start(ctx)
	if err != nil {
		return answer{}, err
	}
	a, err := job.Ask(ctx, process, q)
	if err = errors.Join(err, process.Kill()); err == nil && a.Silent != "" {
		err = &unansweredError{a.Silent}
	}
	return a, err
}

// explain returns an error of ask as that of the caller, who waits until ctx ends; ask waited until short ended.
func explain(ctx, short context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, new(*unansweredError)):
		return err
	case short.Err() != nil:
		return unanswered()
	}
	return fmt.Errorf("cannot ask the directory: %w: %w", err, shadowsync.ErrUnavailable)
}

// unspeakable reports whether a name is not UTF-8. JSON would ask for another name. sss and nslcd refuse such names,
// too: they have no account of one.
func unspeakable(name string) bool { return !utf8.ValidString(name) }

// Helper asks in a unit of its own, with no rights but to ask.
func Helper(helpers *worker.Helpers) func(context.Context, Query) (Person, error) {
	return func(ctx context.Context, q Query) (Person, error) {
		return find(ctx, q, func(ctx context.Context) (*worker.Process, error) {
			return helpers.Start(ctx, job.Name, systemd.HelperUnit{
				Name: helpers.Name("directory-"), What: "Look up an account of a directory", Deadline: Within, Network: true,
			})
		})
	}
}

// find has a started process answer. [shadowsync.ErrNoAccount]: no directory has the account, or says so;
// [shadowsync.ErrUnavailable]: there was no answer in time, of one that may have it.
func find(ctx context.Context, q Query, start func(context.Context) (*worker.Process, error)) (Person, error) {
	short, cancel := context.WithTimeout(ctx, Within)
	defer cancel()
	var a answer
	var err error
	if !unspeakable(q.Name) {
		a, err = ask(short, q, start)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return Person{}, ctx.Err()
	case err != nil:
		return Person{}, fmt.Errorf("cannot find %s: %w", q, explain(ctx, short, err))
	case a.Person == nil:
		return Person{}, fmt.Errorf("cannot find %s: the OS has %w", q, shadowsync.ErrNoAccount)
	}
	return *a.Person, nil
}

// OwnedError refuses to change an account that a directory has.
type OwnedError struct{ Account, Service string }

func (e *OwnedError) Error() string {
	return fmt.Sprintf("%s is an account of the directory (%s), which alone can change it", printable.Clip(e.Account, 64), e.Service)
}
func (e *OwnedError) Unwrap() error { return os.ErrPermission }
