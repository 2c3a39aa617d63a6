package setup

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/state"
)

// shellsFile is shells(5): pam_shells, chsh and some servers reject a user whose login shell is not
// in it.
const shellsFile = "/etc/shells"

// These are recorded in place of a whole file's digest and of its previous content.
const (
	lineMark    = "line"
	wasAbsent   = "absent"
	wasNotEnded = "no line break at the end"
)

// Shell returns the operators' shell, if it is installed under root and the configuration gives it
// to accounts.
func Shell(root string, c *config.Config) (path string, ok bool) {
	i := slices.IndexFunc(c.Users.Shells, config.IsPcli)
	if i < 0 {
		return "", false
	}
	path = c.Users.Shells[i]
	info, err := inroot.Stat(root, path)
	return path, err == nil && info.Mode()&0o111 != 0
}

// Listed reports whether a shell is in shells(5).
func Listed(root, shell string) (bool, error) {
	text, err := inroot.ReadFile(root, shellsFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	return slices.Contains(strings.Split(string(text), "\n"), shell), nil
}

func (j *job) shells() step {
	return step{name: StepShells, what: "pcli in " + shellsFile, due: j.shellsStepDue, do: j.prepareShells}
}

// shellsStepDue: pcli must be listed, and the shells that accounts have without it must be on record, for
// the day on which it is removed.
func (j *job) shellsStepDue(ctx context.Context) (bool, error) {
	due, err := j.shellDue(ctx)
	if err != nil || due {
		return due, err
	}
	unknown, err := j.unrecordedShells(ctx)
	return len(unknown) > 0, err
}

func (j *job) prepareShells(ctx context.Context) error {
	if due, err := j.shellDue(ctx); err != nil || due {
		if err == nil {
			err = j.listShell(ctx)
		}
		if err != nil {
			return err
		}
	}
	return j.recordShells(ctx)
}

func (r *removal) noShell() step {
	return step{name: StepShells, what: "no line of ours in " + shellsFile, will: "remove our line from " + shellsFile, due: r.shellsDue, do: r.takeShell, foreign: r.foreignShell}
}

// foreignShell says that pcli is listed without a record of setup's, as after the state was recreated.
func (r *removal) foreignShell() string {
	c, err := engine.LoadConfig(r.Root, r.Config)
	if err != nil {
		return ""
	}
	shell, ok := Shell(r.Root, c)
	if !ok {
		return ""
	}
	if listed, err := Listed(r.Root, shell); err != nil || !listed {
		return ""
	}
	return shellsFile + " lists " + shell + ", and no record says that setup added it: delete that line if no account uses it"
}

func (j *job) shellDue(context.Context) (bool, error) {
	shell, ok := Shell(j.Root, j.config)
	if !ok {
		return false, nil
	}
	listed, err := Listed(j.Root, shell)
	return !listed, err
}

// listShell adds a line. It first records the previous state, so that remove can delete exactly
// that line.
func (j *job) listShell(ctx context.Context) error {
	shell, _ := Shell(j.Root, j.config)
	text, mode, before, err := readShells(j.Root)
	if err != nil {
		return err
	}
	if err := j.ledger.put(ctx, state.SetupFile{Path: shellsFile, Wrote: lineMark, Before: before}); err != nil {
		return err
	}
	if before == wasNotEnded {
		text += "\n"
	}
	return inroot.Replace(j.Root, shellsFile, []byte(text+shell+"\n"), mode)
}

func readShells(root string) (text string, mode fs.FileMode, before string, err error) {
	info, err := inroot.Stat(root, shellsFile)
	if errors.Is(err, fs.ErrNotExist) {
		return "", 0o644, wasAbsent, nil
	}
	if err != nil {
		return "", 0, "", err
	}
	content, err := inroot.ReadFile(root, shellsFile)
	if text = string(content); text != "" && !strings.HasSuffix(text, "\n") {
		before = wasNotEnded
	}
	return text, info.Mode().Perm(), before, err
}

// shellsDue reports, for remove, whether a line that setup added is still recorded.
func (r *removal) shellsDue(context.Context) (bool, error) {
	return slices.Contains(r.files, shellsFile), nil
}

// takeShell deletes our line, whatever others have added around it since.
func (r *removal) takeShell(ctx context.Context) error {
	entry, known, err := r.ledger.find(ctx, shellsFile)
	if err != nil || !known {
		return err
	}
	text, mode, present, err := readShells(r.Root)
	if err == nil && present != wasAbsent {
		err = r.rewriteShells(entry, text, mode)
	}
	if err != nil {
		return err
	}
	return r.ledger.put(ctx, state.SetupFile{Path: shellsFile})
}

func (r *removal) rewriteShells(entry state.SetupFile, text string, mode fs.FileMode) error {
	kept := ""
	for line := range strings.Lines(text) {
		if !config.IsPcli(strings.TrimSpace(line)) {
			kept += line
		} else if entry.Before == wasNotEnded {
			kept = strings.TrimSuffix(kept, "\n")
		}
	}
	if kept == "" && entry.Before == wasAbsent {
		return inroot.Remove(r.Root, shellsFile)
	}
	return inroot.Replace(r.Root, shellsFile, []byte(kept), mode)
}
