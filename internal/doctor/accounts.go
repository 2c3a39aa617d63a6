package doctor

import (
	"context"
	"errors"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/setup"
	"github.com/shadowsync/shadowsync/internal/shadowfile"
	"github.com/shadowsync/shadowsync/shadowsync"
)

func checkAccounts(ctx context.Context, e *exam) verdict {
	return e.each("all are in /etc/passwd and /etc/shadow", func(a config.Application) verdict {
		snapshot, err := shadowfile.Open("/").Read(ctx, a.Accounts)
		if err != nil {
			return fail("%v", err)
		}
		var found []verdict
		for _, name := range a.Accounts {
			if _, ok := snapshot.Accounts[name]; !ok {
				found = append(found, judgeMissing(ctx, e, name))
			}
		}
		return join("", found...)
	})
}

// judgeMissing tells an account that a directory provides from one that nobody does.
func judgeMissing(ctx context.Context, e *exam, name string) verdict {
	if err := exec.CommandContext(ctx, "getent", "-s", "files", "passwd", name).Run(); err == nil {
		return fail("%s has no password in /etc/shadow", name).by("pwconv", nil)
	}
	if err := exec.CommandContext(ctx, "getent", "passwd", name).Run(); err == nil {
		return fail("%s is not a local account but comes from a directory (see %s); those are left alone", name, nsswitchPath).
			person("take it off the list of accounts", "editor "+e.Config)
	}
	return fail("there is no account %s", name).person("bring it back, or take it off the list of accounts", "editor "+e.Config)
}

// checkShells: an account whose login shell is not in shells(5) is no user to pam_shells and chsh.
func checkShells(ctx context.Context, e *exam) verdict {
	people, err := shadowfile.People(ctx, "/")
	if err != nil {
		return fail("%v", err)
	}
	return e.each("pcli is in /etc/shells where it is somebody's", func(a config.Application) verdict {
		for _, name := range a.Accounts {
			shell := people[name].Shell
			if filepath.Base(shell) != "pcli" {
				continue
			}
			if listed, err := setup.Listed("/", shell); err != nil {
				return fail("%v", err)
			} else if listed {
				continue
			}
			v := fail("%s is the login shell of %s and not in /etc/shells", shell, name)
			if ours, ok := setup.Shell("/", e.config); ok && ours == shell {
				return v.by("shadowsync setup", e.repair(setup.StepShells))
			}
			return v.by("echo "+shell+" >> /etc/shells", nil)
		}
		return pass("")
	})
}

func checkStore(ctx context.Context, e *exam) verdict {
	if e.config == nil || e.state == nil {
		return notChecked("the configuration or the state cannot be read")
	}
	engine, err := openEngine(ctx, e)
	if err != nil {
		return fail("%v", err)
	}
	defer engine.Close()
	return e.each("each answers and holds its accounts", func(a config.Application) verdict {
		snapshot, err := engine.Reconciler(a.Name).Store.Read(ctx, a.Accounts)
		return judgeStore(e.Config, a, snapshot, err)
	})
}

func openEngine(ctx context.Context, e *exam) (*engine.Engine, error) {
	return engine.Open(ctx, engine.Options{Config: e.config, Program: "shadowsync doctor", StoreTimeout: storeTimeout})
}

func judgeStore(configuration string, a config.Application, snapshot shadowsync.StoreSnapshot, err error) verdict {
	switch {
	case errors.Is(err, shadowsync.ErrMalformed):
		return fail("%s's credential store is malformed: %v", a.Name, err).person("make it whole", mendStore(a))
	case err != nil:
		return fail("%s's credential store cannot be read: %v", a.Name, err).person("bring it back", mendStore(a))
	}
	if len(snapshot.Malformed) > 0 {
		names := slices.Sorted(maps.Keys(snapshot.Malformed))
		return fail("%s's credential store cannot be understood about %s: %s", a.Name, strings.Join(names, ", "), snapshot.Malformed[names[0]]).
			person("mend their records", mendStore(a))
	}
	var missing []string
	for _, name := range a.Accounts {
		if _, ok := snapshot.Records[name]; !ok {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fail("%s's credential store does not hold %s", a.Name, strings.Join(missing, ", ")).
			person("create them in the application, or take them off the list of accounts", "editor "+configuration)
	}
	return pass("")
}

// mendStore begins where a store's content is: the file of an application is its
// vendor's, and the embedded one has backups.
func mendStore(a config.Application) string {
	if a.Store["driver"] == "sqlite" {
		return "shadowsync restore BACKUP"
	}
	return "systemctl status " + a.Unit
}

func checkBaseline(ctx context.Context, e *exam) verdict {
	if e.state == nil {
		return notChecked("the state cannot be opened")
	}
	return e.each("every account has one", func(a config.Application) verdict {
		memory, err := e.state.Load(ctx, a.Name, a.Accounts)
		if err != nil {
			return fail("%v", err)
		}
		var lacking []string
		for _, name := range a.Accounts {
			if memory.Accounts[name].Baseline == nil {
				lacking = append(lacking, name)
			}
		}
		if len(lacking) == 0 {
			return pass("")
		}
		return fail("no baseline was taken of %s: nothing tells which side moved", strings.Join(lacking, ", ")).
			by("shadowsync setup", e.repair(setup.StepBaseline))
	})
}
