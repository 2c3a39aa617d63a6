package doctor

import (
	"context"
	"errors"
	"maps"
	"os/exec"
	"slices"
	"strings"

	"github.com/shadowsync/shadowsync/internal/account/directory"
	"github.com/shadowsync/shadowsync/internal/account/shadowfile"
	"github.com/shadowsync/shadowsync/internal/admin/setup"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/files/rootonly"
	"github.com/shadowsync/shadowsync/shadowsync"
)

func checkAccounts(ctx context.Context, e *exam) verdict {
	return e.eachUnit("all are in /etc/passwd and /etc/shadow", func(a config.Application) verdict {
		snapshot, err := shadowfile.Open("/").Read(ctx, a.Accounts)
		if err != nil {
			return fail("%v", err)
		}
		bad, err := shadowfile.Open("/").BadLines(ctx, a.Accounts)
		if err != nil {
			return fail("%v", err)
		}
		missing := slices.DeleteFunc(slices.Clone(a.Accounts), func(name string) bool { _, there := snapshot.Accounts[name]; return there })
		_, silent := directory.Known(ctx, missing)
		var found []verdict
		for _, name := range missing {
			found = append(found, assessMissing(ctx, e, name, bad[name], silent))
		}
		people, err := shadowfile.People(ctx, "/")
		if err != nil {
			return fail("%v", err)
		}
		return join("", append(found, sharedUIDs(people, a.Accounts)...)...)
	})
}

// sharedUIDs warns of accounts with the same uid, which the kernel cannot tell apart: changing
// one's password ends the sessions of all, and pcli cannot know which account to ask for.
func sharedUIDs(people map[string]shadowfile.Person, accounts []string) []verdict {
	names := map[int][]string{}
	for name, p := range people {
		names[p.UID] = append(names[p.UID], name)
	}
	var found []verdict
	told := map[int]bool{}
	for _, account := range accounts {
		p, there := people[account]
		if !there || len(names[p.UID]) == 1 || told[p.UID] {
			continue
		}
		told[p.UID] = true
		found = append(found, warn("%s share the uid %d: changing the password of one ends the sessions of all, and pcli refuses all of them",
			strings.Join(slices.Sorted(slices.Values(names[p.UID])), " and "), p.UID).person("give each a uid of its own", "getent passwd"))
	}
	return found
}

// assessMissing explains why an account has no usable line in shadow(5): a directory provides it, it
// does not exist, or its line, number bad, cannot be read. silent is why no directory could be asked. doctor suggests
// no command that adds a line: pwconv(8) would turn a password field "x" into the password.
func assessMissing(ctx context.Context, e *exam, name string, bad int, silent error) verdict {
	if bad > 0 {
		return fail("line %d of /etc/shadow, of %s, cannot be read: it has too many or too few fields, or a wrong number", bad, name).
			person("correct that line (shadow(5)); the line as it was is in /etc/shadow- or a backup", "vipw -s")
	}
	if out, err := exec.CommandContext(ctx, "getent", "-s", "files", "passwd", name).Output(); err == nil {
		if field, _, _ := strings.Cut(strings.TrimPrefix(string(out), name+":"), ":"); field == "x" {
			return fail("%s has no line in /etc/shadow", name).
				person("put it back, from /etc/shadow- or as "+name+":!::0:99999:7:::", "vipw -s")
		}
		return assessUnshadowed(ctx, name)
	}
	if silent != nil { // getent ends as if there were no account
		return fail("%s is not in /etc/passwd, and it is not known whether a directory has it: %v", name, silent).
			person("bring the directory back", "grep ^passwd "+nsswitchPath)
	}
	if err := exec.CommandContext(ctx, "getent", "passwd", name).Run(); err == nil {
		return fail("%s is not a local account but comes from a directory (see %s); those are left alone", name, nsswitchPath).
			person("take it off the list of accounts", "editor "+e.Config)
	}
	return fail("there is no account %s", name).person("bring it back, or take it off the list of accounts", "editor "+e.Config)
}

// assessUnshadowed suggests pwconv(8) only if that changes nothing else.
func assessUnshadowed(ctx context.Context, name string) verdict {
	v := fail("the password of %s is in /etc/passwd itself, not in /etc/shadow", name)
	harm, err := shadowfile.Open("/").PwconvHarm(ctx)
	switch {
	case err != nil:
		return fail("%v", err)
	case harm != "":
		v.detail += "; " + harm
		return v.person("correct that before pwconv moves the password, which would add or remove lines", "vipw -s")
	}
	return v.by("pwconv", nil)
}

// checkShells: pam_shells and chsh reject an account whose login shell is not in shells(5).
func checkShells(ctx context.Context, e *exam) verdict {
	people, err := shadowfile.People(ctx, "/")
	if err != nil {
		return fail("%v", err)
	}
	return e.eachUnit("/etc/shells lists pcli, which accounts with that shell need", func(a config.Application) verdict {
		for _, name := range a.Accounts {
			shell := people[name].Shell
			if !config.IsPcli(shell) {
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
			return v.by("sed -i '$a "+shell+"' /etc/shells", nil) // sed also ends an unfinished last line
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
		if err := setup.StorePlace("/", a); err != nil {
			return assessPlace(a, err)
		}
		snapshot, err := engine.Reconciler(a.Name).Store.Read(ctx, a.Accounts)
		return join("", assessStore(e.Config, a, snapshot, err), otherNames(a))
	})
}

// assessPlace reports a folder in which a user other than root could replace the database.
func assessPlace(a config.Application, err error) verdict {
	v := fail("%s's credential store is in a folder that is not root's alone: %v", a.Name, err)
	if open := (*rootonly.Error)(nil); errors.As(err, &open) {
		return v.person("choose another path for the store, or let only root write there if the application needs no more", "ls -ld "+open.Path)
	}
	return v
}

// otherNames warns of a store file with several hard links.
func otherNames(a config.Application) verdict {
	why := setup.OtherNames("/", a)
	if why == "" {
		return pass("")
	}
	path, _ := a.Store["path"].(string)
	return warn("%s", why).person("make the other one a symbolic link, or a copy", `find "$(stat -c %m `+path+`)" -xdev -samefile `+path)
}

func openEngine(ctx context.Context, e *exam) (*engine.Engine, error) {
	return engine.Open(ctx, engine.Options{Config: e.config, Program: "shadowsync doctor", StoreTimeout: storeTimeout})
}

func assessStore(configuration string, a config.Application, snapshot shadowsync.StoreSnapshot, err error) verdict {
	switch {
	case errors.Is(err, shadowsync.ErrMalformed):
		return fail("%s's credential store is malformed: %s", a.Name, a.NameStore(err.Error())).person("make it whole", mendStore(a))
	case err != nil:
		return fail("%s's credential store cannot be read: %s", a.Name, a.NameStore(err.Error())).person("bring it back", "shadowsync status") // a backup would replace the store's newer content
	}
	if len(snapshot.Malformed) > 0 {
		names := slices.Sorted(maps.Keys(snapshot.Malformed))
		return fail("%s's credential store has records that cannot be understood, of %s: %s", a.Name, strings.Join(names, ", "), snapshot.Malformed[names[0]]).
			person("correct their records", mendStore(a))
	}
	var missing []string
	for _, name := range a.Accounts {
		if _, ok := snapshot.Accounts[name]; !ok {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fail("%s's credential store does not hold %s", a.Name, strings.Join(missing, ", ")).
			person("create them in the application, or take them off the list of accounts", "editor "+configuration)
	}
	return pass("")
}

// mendStore names the first command for repairing a store: the vendor of the application owns its
// file, and the embedded store has backups.
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
		lacking, v := assessBaseline(a, memory)
		if len(lacking) > 0 {
			return v.by("shadowsync setup", e.repair(setup.StepBaseline))
		}
		return v
	})
}

// assessBaseline returns the accounts of which only setup can make a baseline.
func assessBaseline(a config.Application, memory shadowsync.Memory) (lacking []string, v verdict) {
	var undecided, refused []string
	for _, name := range a.Accounts {
		switch open := memory.Accounts[name].Open; {
		case open != nil && open.Verdict == shadowsync.VerdictConflict:
			undecided = append(undecided, name)
		case open != nil && open.State.Awaits(): // see the check "waiting"
		case memory.Accounts[name].Baseline != nil:
		case open != nil && open.Vouches() && open.Verdict == shadowsync.VerdictRefused:
			refused = append(refused, name)
		case open != nil && open.Vouches(): // it makes the baseline once the store takes it
		default:
			lacking = append(lacking, name)
		}
	}
	switch {
	case len(undecided) > 0:
		return nil, warn("OS and store differ about %s", strings.Join(undecided, ", ")).person("decide which side is right", "shadowsync status")
	case len(lacking) > 0:
		return lacking, fail("there is no baseline of %s: nothing says which side changed", strings.Join(lacking, ", "))
	case len(refused) > 0:
		return nil, warn("the store refuses the password of %s", strings.Join(refused, ", ")).person("set one that it takes", "shadowsync user set password "+refused[0])
	}
	return nil, pass("")
}
