package setup

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"

	"github.com/shadowsync/shadowsync/internal/account/shadowfile"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/state"
)

// lastShell is there on every system.
const lastShell = "/bin/sh"

// unrecordedShells returns the managed accounts whose shell is another one than pcli, and not on record: an
// administrator may give them pcli at any time with usermod(8), which tells nobody.
func (j *job) unrecordedShells(ctx context.Context) (unknown []state.FormerShell, err error) {
	if _, ok := Shell(j.Root, j.config); !ok {
		return nil, nil
	}
	known := map[string]state.FormerShell{}
	if j.ledger.exists() {
		db, err := j.ledger.open(ctx)
		if err != nil {
			return nil, err
		}
		if known, err = db.FormerShells(ctx); err != nil {
			return nil, err
		}
	}
	people, err := shadowfile.People(ctx, j.Root)
	if err != nil {
		return nil, err
	}
	for _, a := range j.config.Firsts() {
		for _, name := range a.Accounts {
			p, ok := people[name]
			now := state.FormerShell{Account: name, UID: p.UID, Shell: p.Shell}
			if ok && p.Shell != "" && !config.IsPcli(p.Shell) && known[name] != now {
				unknown = append(unknown, now)
			}
		}
	}
	return unknown, nil
}

func (j *job) recordShells(ctx context.Context) error {
	unknown, err := j.unrecordedShells(ctx)
	if err != nil || len(unknown) == 0 {
		return err
	}
	db, err := j.ledger.open(ctx)
	if err != nil {
		return err
	}
	for _, one := range unknown {
		if err := db.NoteShell(ctx, one); err != nil {
			return err
		}
	}
	return nil
}

// giveShells gives accounts whose shell is pcli another one: sshd(8) and login(1) refuse an account whose
// shell is missing.
func (r *removal) giveShells() step {
	return step{
		name: StepFormerShells, what: "no account with the shell pcli", will: "give the accounts with the shell pcli another one",
		due: r.operatorsDue, do: r.giveFormerShells,
	}
}

func (r *removal) operatorsDue(ctx context.Context) (bool, error) {
	operators, err := r.operators(ctx)
	return len(operators) > 0, err
}

// operators returns the accounts whose shell is pcli, sorted. Whoever gave it to them, and whether an
// application manages them, does not matter.
func (r *removal) operators(ctx context.Context) (operators []shadowfile.Person, err error) {
	people, err := shadowfile.People(ctx, r.Root)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(people)) {
		if config.IsPcli(people[name].Shell) {
			operators = append(operators, people[name])
		}
	}
	return operators, nil
}

func (r *removal) giveFormerShells(ctx context.Context) error {
	operators, err := r.operators(ctx)
	if err != nil {
		return err
	}
	former := r.formerShells(ctx)
	for _, p := range operators {
		shell, why := r.shellFor(p, former)
		if err := r.giveShell(ctx, p.Name, shell); err != nil {
			return err
		}
		r.note("%s has the shell %s now, %s", p.Name, shell, why)
	}
	return nil
}

func (r *removal) giveShell(ctx context.Context, name, shell string) error {
	if r.mounted() {
		return shadowfile.SetShell(ctx, r.Root, name, shell)
	}
	said, err := exec.CommandContext(ctx, "usermod", "--shell", shell, "--", name).CombinedOutput()
	if err != nil {
		return fmt.Errorf("cannot give %s the shell %s: %w: %s", name, shell, err, strings.TrimSpace(string(said)))
	}
	return nil
}

// formerShells returns what is on record. An unreadable state must not lock anybody out.
func (r *removal) formerShells(ctx context.Context) map[string]state.FormerShell {
	if !r.ledger.exists() {
		return nil
	}
	db, err := r.ledger.open(ctx)
	if err == nil {
		var former map[string]state.FormerShell
		if former, err = db.FormerShells(ctx); err == nil {
			return former
		}
	}
	r.note("which shells accounts had before pcli is not known: %v", err)
	return nil
}

func (r *removal) shellFor(p shadowfile.Person, former map[string]state.FormerShell) (shell, why string) {
	if f, ok := former[p.Name]; ok && f.UID == p.UID && r.usable(f.Shell) {
		return f.Shell, "as before pcli"
	}
	configured := ""
	if c, err := engine.LoadConfig(r.Root, r.Config); err == nil && r.usable(c.Pcli.RemovedShell) {
		configured = c.Pcli.RemovedShell
	}
	return cmp.Or(configured, lastShell), "because the one before pcli is not on record"
}

// usable reports whether a shell is a program that stays.
func (r *removal) usable(shell string) bool {
	info, err := inroot.Stat(r.Root, shell)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 && !config.IsPcli(shell)
}
