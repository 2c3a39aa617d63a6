package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/shadowsync/shadowsync/internal/admin/setup"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/internal/term/plural"
	"github.com/shadowsync/shadowsync/systemd"
)

// checkCommand shows the faulty line, and changes nothing.
const checkCommand = "shadowsync config check"

func checkConfiguration(_ context.Context, e *exam) verdict {
	info, err := os.Lstat(e.Config)
	if err == nil && info.Mode().IsRegular() {
		if v := assessPrivate(e.Config, info, 0o600); v.state != OK {
			return v
		}
	}
	kept := config.KeptPath(engine.StateDir, e.Config)
	switch {
	case errors.Is(e.configErr, config.ErrNotFound) && e.config != nil:
		return fail("there is no %s; the broker and the hooks go on with its last good content", e.Config).
			by("cp -n "+kept+" "+e.Config, nil)
	case errors.Is(e.configErr, config.ErrNotFound):
		return fail("there is no %s", e.Config).by("shadowsync setup --unit UNIT --account NAME --store DRIVER KEY=VALUE...", nil)
	case e.configErr != nil && e.config != nil:
		return fail("%v; the broker and the hooks go on with the last good one, %s", e.configErr, kept).
			person("correct the file", checkCommand)
	case e.configErr != nil:
		return fail("%v", e.configErr).person("correct the file", checkCommand)
	}
	accounts := 0
	applications := e.config.Firsts()
	for _, a := range applications {
		accounts += len(a.Accounts)
	}
	if e.state != nil && !e.config.IsKept("/", engine.StateDir) {
		return warn("no copy of %s is kept in %s for a day when it cannot be read", e.Config, engine.StateDir).
			by("shadowsync sync", func(context.Context) error { return e.config.Keep("/", engine.StateDir) })
	}
	return pass("%s (applications: %d, accounts: %d)", e.Config, len(applications), accounts)
}

// assessPrivate checks that root owns a file or folder and that its mode grants no more than wanted.
func assessPrivate(path string, info fs.FileInfo, wanted fs.FileMode) verdict {
	st := info.Sys().(*syscall.Stat_t)
	excess := info.Mode().Perm() &^ wanted
	if st.Uid == 0 && excess == 0 {
		return pass("")
	}
	mend := func(context.Context) error {
		return errors.Join(os.Lchown(path, 0, int(st.Gid)), os.Chmod(path, wanted))
	}
	command := fmt.Sprintf("chown root %s && chmod %#o %s", path, wanted, path)
	found := fmt.Sprintf("%s belongs to uid %d with mode %#o", path, st.Uid, info.Mode().Perm())
	if st.Uid == 0 && excess&0o022 == 0 {
		return warn("%s: others may read it", found).by(command, mend)
	}
	return fail("%s: others may write it", found).by(command, mend)
}

func checkStateFolder(context.Context, *exam) verdict {
	var found []verdict
	for path, mode := range map[string]fs.FileMode{engine.HomeDir: 0o700, engine.StateDir: 0o700, statePath: 0o600} {
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return fail("there is no %s", path).by("shadowsync setup", nil)
		}
		if err != nil {
			return fail("%v", err)
		}
		if path == statePath && !info.Mode().IsRegular() {
			continue // the next check reports it
		}
		found = append(found, assessPrivate(path, info, mode))
	}
	return join(engine.HomeDir+" belongs to root alone", found...)
}

// checkWithin limits the check of the whole state; a state with a hundred thousand accounts takes a
// second.
const checkWithin = 15 * time.Second

func checkState(ctx context.Context, e *exam) verdict {
	var newer *state.NewerError
	switch {
	case errors.As(e.stateErr, &newer):
		return fail("%v", newer).person("install the shadowsync that wrote it, or a newer one", "shadowsync --version")
	case errors.Is(e.stateErr, fs.ErrNotExist):
		return fail("there is no %s", statePath).by("shadowsync setup", nil)
	case e.stateErr != nil:
		return e.assessState(e.stateErr)
	}
	short, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	switch err := e.state.Check(short); {
	case err != nil && short.Err() != nil:
		return warn("%s opens; looking at all of it takes longer than %v", statePath, checkWithin)
	case err != nil:
		return e.assessState(err)
	}
	return pass("%s is whole", statePath)
}

// assessState tells a damaged state, which can be recreated, from a disk that fails or is full.
func (e *exam) assessState(err error) verdict {
	if !errors.As(err, new(*state.DamagedError)) {
		return fail("%v", err).person("make it readable and writable again", "df -h "+engine.StateDir)
	}
	v := fail("%v: it can be moved aside and begun anew; its history and audit trail stay in the old file", err)
	return v.by("shadowsync doctor --fix", func(ctx context.Context) error { return e.beginAnew(ctx, err) })
}

// beginAnew moves a damaged state aside and lets the tool rebuild it from both sides and the notes.
// Differences become conflicts, so doctor decides nothing.
func (e *exam) beginAnew(ctx context.Context, damage error) error {
	e.close()
	e.state = nil
	if _, err := engine.MoveAside(ctx, engine.Options{Root: "/", Program: "shadowsync doctor"}, damage); err != nil {
		return err
	}
	err := exec.CommandContext(ctx, e.Binary, "--config", e.Config, "sync", "--quiet").Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return err
	}
	_, err = setup.Systemctl(ctx, "restart", systemd.BrokerUnit)
	return err
}

func checkAudit(ctx context.Context, e *exam) verdict {
	if e.state == nil {
		return notChecked("the state cannot be opened")
	}
	n, err := e.state.Verify(ctx)
	if err != nil {
		return fail("the audit trail: %v", err).person("find out who wrote to it; the journal has the records too", "journalctl SYSLOG_IDENTIFIER=shadowsync")
	}
	return pass("the chain of %s is whole", plural.Count(n, "record"))
}
