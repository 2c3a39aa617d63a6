package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/internal/store"
)

func checkConfiguration(_ context.Context, e *exam) verdict {
	info, err := os.Lstat(e.Config)
	if err == nil {
		if v := judgePrivate(e.Config, info, 0o600); v.state != OK {
			return v
		}
	}
	switch {
	case errors.Is(e.configErr, config.ErrNotFound):
		return fail("there is no %s", e.Config).by("shadowsync setup --unit UNIT --account NAME", nil)
	case e.configErr != nil:
		return fail("%v", e.configErr).person("mend it", "editor "+e.Config)
	}
	accounts := 0
	for _, a := range e.config.Applications {
		accounts += len(a.Accounts)
		if _, err := store.Parse(a.Store); err != nil {
			return fail("the store of %s: %v", a.Name, err).person("mend the configuration", "editor "+e.Config)
		}
	}
	if accounts == 0 {
		return warn("%s manages no account", e.Config).person("name some", "editor "+e.Config)
	}
	return pass("%s (applications: %d, accounts: %d)", e.Config, len(e.config.Applications), accounts)
}

// judgePrivate holds a file or folder of root's to a mode; less is fine.
func judgePrivate(path string, info fs.FileInfo, wanted fs.FileMode) verdict {
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
		found = append(found, judgePrivate(path, info, mode))
	}
	return join(engine.HomeDir+" belongs to root alone", found...)
}

func checkState(_ context.Context, e *exam) verdict {
	var newer *state.NewerError
	switch {
	case errors.As(e.stateErr, &newer):
		return fail("%v", newer).person("install the shadowsync that wrote it, or a newer one", "shadowsync --version")
	case errors.Is(e.stateErr, fs.ErrNotExist):
		return fail("there is no %s", statePath).by("shadowsync setup", nil)
	case e.stateErr != nil:
		return fail("%v", e.stateErr).person("put a backup in its place", "shadowsync restore BACKUP")
	}
	return pass("%s opens", statePath)
}

func checkAudit(ctx context.Context, e *exam) verdict {
	if e.state == nil {
		return notChecked("the state cannot be opened")
	}
	n, err := e.state.Verify(ctx)
	if err != nil {
		return fail("the audit trail: %v", err).person("find out who wrote to it; the journal has the records too", "journalctl SYSLOG_IDENTIFIER=shadowsync")
	}
	return pass("the chain of %d records is whole", n)
}
