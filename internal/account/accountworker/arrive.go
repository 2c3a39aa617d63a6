package accountworker

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"

	"github.com/shadowsync/shadowsync/internal/account/newcomer"
	"github.com/shadowsync/shadowsync/internal/account/shadowfile"
)

// Arrival describes an account to create.
type Arrival struct {
	newcomer.Newcomer
	Flags []string `json:"flags"` // of useradd(8), except for its home
	// TakeHome keeps an existing home of a former user as a folder in the new home.
	TakeHome bool `json:"take_home,omitempty"`
}

// Made is what undo must know about a created account.
type Made struct {
	// Taken: the home that existed is now in the new one. It belonged to FormerUID and FormerGID.
	Taken     bool `json:"taken,omitempty"`
	FormerUID int  `json:"former_uid,omitempty"`
	FormerGID int  `json:"former_gid,omitempty"`
}

// madeAnyhow are the exit statuses of useradd(8) after which the account exists in spite of the
// error: it has no home, no mail spool, or no SELinux mapping.
var madeAnyhow = []int{12, 13, 14}

// mostUIDs bounds how many uids are looked at. A uid is skipped if a former account left something
// under it, as its home. mostCreated bounds how many of them useradd(8) is asked for.
const mostUIDs, mostCreated = 512, 4

// arrive creates the account, unless its name or leftovers would give it something. If it fails
// half-way, it removes what it made and puts an existing home back.
func (a Arrival) arrive(ctx context.Context) (made Made, refused string, err error) {
	var former *ids
	if a.TakeHome {
		former, err = a.setAside(ctx)
		if why := (*takeError)(nil); errors.As(err, &why) {
			return made, why.Error(), nil
		}
		if err != nil {
			return made, "", err
		}
		defer func() {
			if refused != "" || err != nil {
				err = errors.Join(err, a.putBack())
			}
		}()
	}
	p, refused, err := a.begin(ctx)
	if refused != "" || err != nil || former == nil {
		return made, refused, err
	}
	if err = a.moveIn(*former, ids{p.UID, p.GID}); err != nil {
		return made, "", errors.Join(err, a.leave(ctx))
	}
	return Made{Taken: true, FormerUID: former.uid, FormerGID: former.gid}, "", nil
}

// refuses is what begin would say of the name. A home that is to be taken over is looked at only when
// it is moved.
func (a Arrival) refuses() (why string, err error) {
	if a.TakeHome {
		return "", nil
	}
	return a.Before("/")
}

// begin creates the account with its own home.
func (a Arrival) begin(ctx context.Context) (p shadowfile.Person, refused string, err error) {
	if refused, err = a.Before("/"); refused != "" || err != nil {
		return p, refused, err
	}
	var uid []string
	for range mostCreated {
		if p, err = a.create(ctx, uid); err != nil {
			return p, "", err
		}
		if refused, err = a.After("/"); refused != "" || err != nil {
			return p, refused, errors.Join(err, a.leave(ctx))
		}
		if refused, err = a.Inherits("/", p.UID); refused == "" && err == nil {
			return p, "", nil
		}
		if err = errors.Join(err, a.leave(ctx)); err != nil {
			return p, "", err
		}
		next, err := a.nextUID(p.UID)
		if err != nil {
			return p, "", err
		}
		uid = []string{"--uid", strconv.Itoa(next)}
	}
	return p, refused, nil
}

// nextUID is the first uid after one under which nothing is left.
func (a Arrival) nextUID(uid int) (int, error) {
	for range mostUIDs {
		uid++
		if left, err := a.Inherits("/", uid); left == "" || err != nil {
			return uid, err
		}
	}
	return uid, nil // useradd(8) and the checks after it decide
}

// undo removes what arrive made, and puts an earlier home back.
func (a Arrival) undo(ctx context.Context, m Made) error {
	if !m.Taken {
		return a.leave(ctx)
	}
	people, err := shadowfile.People(ctx, "/")
	if err != nil {
		return err
	}
	p := people[a.Name]
	if err := a.moveOut(ids{m.FormerUID, m.FormerGID}, ids{p.UID, p.GID}); err != nil {
		return err // userdel --remove would remove the earlier home
	}
	return errors.Join(a.leave(ctx), a.putBack())
}

// create creates the account, with the given uid or the one that useradd(8) chooses.
func (a Arrival) create(ctx context.Context, uid []string) (p shadowfile.Person, err error) {
	args := slices.Concat([]string{"useradd", "--create-home", "--home-dir", a.Home}, a.Flags, uid, []string{"--", a.Name})
	if err := execute(ctx, args...); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) && slices.Contains(madeAnyhow, exit.ExitCode()) {
			err = errors.Join(err, a.leave(ctx))
		}
		return p, err
	}
	people, err := shadowfile.People(ctx, "/")
	p, there := people[a.Name]
	if err == nil && !there {
		err = fmt.Errorf("cannot find the account %s after useradd", a.Name)
	}
	if err != nil {
		err = errors.Join(err, a.leave(ctx))
	}
	return p, err
}

func (a Arrival) leave(ctx context.Context) error {
	return execute(context.WithoutCancel(ctx), "userdel", "--remove", "--", a.Name)
}
