package setup

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/state"
)

// shellsFile is shells(5): pam_shells, chsh and servers take nobody for a user whose
// login shell is not in it.
const shellsFile = "/etc/shells"

// What stands on record where a whole file has its digest, and what had been there.
const (
	lineMark    = "line"
	wasAbsent   = "absent"
	wasNotEnded = "no line break at the end"
)

// Shell is the operators' shell, if it is installed beneath root and the configuration
// gives it to accounts.
func Shell(root string, c *config.Config) (path string, ok bool) {
	i := slices.IndexFunc(c.Users.Shells, func(shell string) bool { return filepath.Base(shell) == "pcli" })
	if i < 0 {
		return "", false
	}
	path = c.Users.Shells[i]
	info, err := os.Stat(filepath.Join(root, path))
	return path, err == nil && info.Mode()&0o111 != 0
}

// Listed tells whether a shell is in shells(5).
func Listed(root, shell string) (bool, error) {
	text, err := os.ReadFile(filepath.Join(root, shellsFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	return slices.Contains(strings.Split(string(text), "\n"), shell), nil
}

func (j *job) shells() step {
	return step{name: StepShells, what: "pcli in " + shellsFile, due: j.shellDue, do: j.listShell}
}

func (r *removal) noShell() step {
	return step{name: StepShells, what: "no line of ours in " + shellsFile, due: r.shellsDue, do: r.takeShell}
}

func (j *job) shellDue(context.Context) (bool, error) {
	shell, ok := Shell(j.Root, j.config)
	if !ok {
		return false, nil
	}
	listed, err := Listed(j.Root, shell)
	return !listed, err
}

// listShell adds a line. What was there before is on record first, so that remove can
// take away exactly that line.
func (j *job) listShell(ctx context.Context) error {
	shell, _ := Shell(j.Root, j.config)
	text, mode, before, err := readShells(j.path(shellsFile))
	if err != nil {
		return err
	}
	if err := j.ledger.put(ctx, state.SetupFile{Path: shellsFile, Wrote: lineMark, Before: before}); err != nil {
		return err
	}
	if before == wasNotEnded {
		text += "\n"
	}
	return replace(j.path(shellsFile), []byte(text+shell+"\n"), mode)
}

func readShells(path string) (text string, mode fs.FileMode, before string, err error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", 0o644, wasAbsent, nil
	}
	if err != nil {
		return "", 0, "", err
	}
	content, err := os.ReadFile(path)
	if text = string(content); text != "" && !strings.HasSuffix(text, "\n") {
		before = wasNotEnded
	}
	return text, info.Mode().Perm(), before, err
}

// shellsDue is for remove: setup added a line, and nobody has taken it away yet.
func (r *removal) shellsDue(context.Context) (bool, error) {
	return slices.Contains(r.files, shellsFile), nil
}

// takeShell takes our line away, whatever others have added around it since.
func (r *removal) takeShell(ctx context.Context) error {
	entry, known, err := r.ledger.find(ctx, shellsFile)
	if err != nil || !known {
		return err
	}
	text, mode, present, err := readShells(r.path(shellsFile))
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
		if filepath.Base(strings.TrimSpace(line)) != "pcli" {
			kept += line
		} else if entry.Before == wasNotEnded {
			kept = strings.TrimSuffix(kept, "\n")
		}
	}
	if kept == "" && entry.Before == wasAbsent {
		return os.Remove(r.path(shellsFile))
	}
	return replace(r.path(shellsFile), []byte(kept), mode)
}
