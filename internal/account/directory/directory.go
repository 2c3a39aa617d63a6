// Package directory finds accounts of a directory: those that a service of nsswitch.conf(5) other than
// the local files knows, such as sss or ldap. It contains no client of any directory.
//
// Such a service may wait for a server: nslcd(8) takes nine seconds if that is down. So a process of its
// own asks it, with getent(1), and ends at its deadline. It never asks about what the machine's own
// files say of a name: whether an account is local is for the caller to decide, by shadow(5).
//
//	directory.go  who is asked for, and how a caller has it asked
//	ask.go        the process that asks
//	services.go   which services are directories
package directory

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

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
}

var job = worker.Job[Query, answer]{Name: "worker-directory", Short: "Look up an account of a directory", Answer: answerOne}

// Command is the job as a hidden command of the root tool.
var Command = job.Command()

func answerOne(ctx context.Context, q Query, _ []*os.File) (a answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, Within)
	defer cancel()
	if len(q.Names) > 0 {
		a.Known, err = known(ctx, q.Names)
		return a, err
	}
	p, err := look(ctx, q)
	if errors.Is(err, shadowsync.ErrNoAccount) {
		return a, nil
	}
	a.Person = &p
	return a, err
}

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
	ctx, cancel := context.WithTimeout(ctx, Within)
	defer cancel()
	for some := range slices.Chunk(names, mostNames) {
		a, err := ask(ctx, Query{Names: some}, child)
		if err != nil {
			return all, fmt.Errorf("cannot ask the directory (%s): %w", strings.Join(Services(Accounts), ", "), err)
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
	return a, errors.Join(err, process.Kill())
}

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
// [shadowsync.ErrUnavailable]: there was no answer in time.
func find(ctx context.Context, q Query, start func(context.Context) (*worker.Process, error)) (Person, error) {
	short, cancel := context.WithTimeout(ctx, Within)
	defer cancel()
	a, err := ask(short, q, start)
	switch {
	case err != nil && ctx.Err() == nil:
		return Person{}, fmt.Errorf("cannot find %s: the directory does not answer: %w", q, shadowsync.ErrUnavailable)
	case err != nil:
		return Person{}, ctx.Err()
	case a.Person == nil:
		return Person{}, missing(q)
	}
	return *a.Person, nil
}

// missing says what is known: a service that is stopped or overloaded looks like one that has no such account.
func missing(q Query) error {
	if of := Services(Accounts); len(of) > 0 {
		return fmt.Errorf("cannot find %s: the OS has %w, or its directory (%s) does not answer", q, shadowsync.ErrNoAccount, strings.Join(of, ", "))
	}
	return fmt.Errorf("cannot find %s: the OS has %w", q, shadowsync.ErrNoAccount)
}

// OwnedError refuses to change an account that a directory has.
type OwnedError struct{ Account, Service string }

func (e *OwnedError) Error() string {
	return fmt.Sprintf("%s is an account of the directory (%s), which alone can change it", printable.Clip(e.Account, 64), e.Service)
}
func (e *OwnedError) Unwrap() error { return os.ErrPermission }
