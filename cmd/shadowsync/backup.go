package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/backup"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/internal/store"
	"github.com/shadowsync/shadowsync/internal/store/sqlite"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// beforeRestore is the folder where restore leaves what it replaced, beside the state.
const beforeRestore = "before-restore"

type backupOptions struct {
	file       string
	passphrase tokenSource
	recipients []string // backup: public keys instead of a passphrase
	identity   string   // restore: the file of the private key
}

func newBackup(a *app) *cobra.Command {
	o := backupOptions{passphrase: tokenSource{fd: -1}}
	c := &cobra.Command{
		Use:   "backup FILE",
		Short: "Seal the state and the embedded credential stores into a file",
		Long: "Writes one file with the state (baselines, history, audit trail) and the embedded\n" +
			"credential stores, sealed with a passphrase or for --recipient, readable by its owner\n" +
			"alone. Nothing is stopped meanwhile. It is an age file with a tar archive in it:\n" +
			"  age -d FILE | tar t\n" +
			"The stores that are the applications' own, the configuration and /etc/shadow are not in it.",
		Args: exactly(1),
		RunE: func(c *cobra.Command, files []string) error {
			o.file = files[0]
			return runBackup(c.Context(), a, o)
		},
	}
	o.addFlags(c)
	c.Flags().StringArrayVar(&o.recipients, "recipient", nil, "seal for the holder of this `age1...` key; may be given again")
	return c
}

func newRestore(a *app) *cobra.Command {
	o := backupOptions{passphrase: tokenSource{fd: -1}}
	c := &cobra.Command{
		Use:   "restore {FILE | FOLDER}",
		Short: "Put a backup's state and embedded credential stores back",
		Long: "Replaces the state and the embedded credential stores by those of a backup, each in one\n" +
			"transaction; the daemon may run. The whole backup is read and checked before anything\n" +
			"changes, and one of a newer shadowsync is refused. What was there stays, in a new folder\n" +
			"in " + engine.StateDir + "/" + beforeRestore + " for each time, which\n" +
			"can be given instead of a file to put that back; delete it when it is of no use any more.\n" +
			"The restored audit trail says how the one before it ended, and where it is. Then\n" +
			"shadowsync sync --dry-run tells what differs from the OS.",
		Args: exactly(1),
		RunE: func(c *cobra.Command, files []string) error {
			o.file = files[0]
			return runRestore(c.Context(), a, o)
		},
	}
	o.addFlags(c)
	c.Flags().StringVar(&o.identity, "identity", "", "the `file` with the private key, of a backup for a recipient")
	return c
}

func (o *backupOptions) addFlags(c *cobra.Command) {
	c.Flags().BoolVar(&o.passphrase.stdin, "stdin", false, "read the passphrase, one line, from standard input")
	c.Flags().IntVar(&o.passphrase.fd, "fd", -1, "read the passphrase, one line, from file descriptor `n`")
}

// backupResult is the object that backup and restore print with --json.
type backupResult struct {
	File      string            `json:"file"`
	Created   time.Time         `json:"created"`
	Node      string            `json:"node"`
	Databases []backup.Database `json:"databases"`
	Replaced  string            `json:"replaced,omitempty"` // the folder with what restore replaced
}

func runBackup(ctx context.Context, a *app, o backupOptions) error {
	harden()
	return a.with(ctx, func(e *engine.Engine) error {
		recipients, err := o.seals(ctx, a)
		if err != nil {
			return err
		}
		m := backup.Manifest{Created: time.Now().UTC().Truncate(time.Second), Node: e.Config.Node.Name, By: version}
		err = locked(ctx, e, func() (err error) {
			m.Databases, err = a.databases(e)
			for i := range m.Databases {
				d := &m.Databases[i]
				if err == nil {
					d.Image, err = backup.Image(ctx, d.Path)
				}
			}
			return err
		})
		if err == nil {
			err = backup.Write(o.file, m, recipients...)
		}
		noted := a.record(ctx, e, "backup", shadowsync.Event{Action: "backed-up"}, err)
		if err != nil {
			return noted
		}
		return errors.Join(noted, a.showBackup(backupResult{File: o.file, Created: m.Created, Node: m.Node, Databases: m.Databases}, "sealed in"))
	})
}

func runRestore(ctx context.Context, a *app, o backupOptions) error {
	harden()
	return a.with(ctx, func(e *engine.Engine) error {
		m, err := o.read(ctx, a)
		var was, kept string
		if err == nil {
			err = locked(ctx, e, func() (err error) {
				was, kept, err = a.restoreAll(ctx, e, m)
				return err
			})
		}
		reason := fmt.Sprintf("the backup of %s; the trail before ended with %s and is in %s", m.Created.Format(time.RFC3339), was, kept)
		noted := a.record(ctx, e, "restore", shadowsync.Event{Action: "restored", Reason: reason}, err)
		if err != nil {
			return noted
		}
		r := backupResult{File: o.file, Created: m.Created, Node: m.Node, Databases: m.Databases, Replaced: kept}
		return errors.Join(noted, a.showBackup(r, "restored from"))
	})
}

// locked runs do under the engine lock, so that nothing is between two databases.
func locked(ctx context.Context, e *engine.Engine, do func() error) error {
	lease, err := patience{e.Locker()}.Acquire(ctx)
	if err != nil {
		return err
	}
	defer lease.Release()
	return do()
}

// databases are those that a backup holds: the state, and every embedded store.
func (a *app) databases(e *engine.Engine) ([]backup.Database, error) {
	list := []backup.Database{{Name: state.FileName, Path: filepath.Join(a.root, engine.StateDir, state.FileName)}}
	taken := map[string]bool{}
	for _, application := range e.Config.Applications {
		o, err := store.Parse(application.Store)
		if err != nil {
			return nil, err
		}
		if o.Driver != "sqlite" {
			continue
		}
		path := o.Path
		if path == "" {
			path = sqlite.DefaultPath
		}
		if full := filepath.Join(a.root, path); !taken[full] {
			taken[full] = true
			list = append(list, backup.Database{Name: "store-" + application.Name + ".db", Application: application.Name, Path: full})
		}
	}
	return list, nil
}

// restoreAll checks everything, keeps what is there, and then replaces everything. It
// returns how the audit trail ended that is replaced, and the folder where that is kept.
func (a *app) restoreAll(ctx context.Context, e *engine.Engine, m backup.Manifest) (was, kept string, err error) {
	present, err := a.databases(e)
	if err != nil {
		return "", "", err
	}
	there := map[string]backup.Database{}
	for _, d := range present {
		there[d.Application] = d
	}
	before := backup.Manifest{Created: time.Now().UTC().Truncate(time.Second), Node: e.Config.Node.Name, By: version}
	for _, d := range m.Databases {
		ours, ok := there[d.Application]
		if !ok {
			return "", "", fmt.Errorf("the configuration has no embedded store of %q: %w", d.Application, errNoApplication)
		}
		if err := backup.Check(ctx, d.Image, ours.Path); err != nil {
			return "", "", fmt.Errorf("%s of the backup: %w", d.Name, err)
		}
		before.Databases = append(before.Databases, ours)
	}
	if was, err = e.State.TrailEnd(ctx); err != nil {
		return "", "", err
	}
	if kept, err = backup.Keep(ctx, filepath.Join(a.root, engine.StateDir, beforeRestore), before); err != nil {
		return "", "", err
	}
	for _, d := range m.Databases {
		if err := backup.Restore(ctx, d.Image, there[d.Application].Path); err != nil {
			return was, kept, fmt.Errorf("%s of the backup (what was there is in %s): %w", d.Name, kept, err)
		}
	}
	return was, kept, nil
}

// read opens a backup, or the folder with what an earlier restore replaced.
func (o backupOptions) read(ctx context.Context, a *app) (backup.Manifest, error) {
	if info, err := os.Stat(o.file); err == nil && info.IsDir() {
		return backup.ReadFolder(o.file)
	}
	identities, err := o.keys(ctx, a)
	if err != nil {
		return backup.Manifest{}, err
	}
	return backup.Read(o.file, identities...)
}

func (a *app) showBackup(r backupResult, done string) error {
	if a.json {
		return a.printJSON(r)
	}
	a.say("%d databases %s %s", len(r.Databases), done, r.File)
	if r.Replaced != "" {
		a.say("what was there is kept; to put it back: shadowsync restore %s", r.Replaced)
	}
	return nil
}

// seals are whom a backup is sealed for.
func (o backupOptions) seals(ctx context.Context, a *app) ([]age.Recipient, error) {
	var recipients []age.Recipient
	for _, text := range o.recipients {
		r, err := age.ParseX25519Recipient(text)
		if err != nil {
			return nil, mark(fmt.Errorf("cannot use --recipient: %w", err), errUsage)
		}
		recipients = append(recipients, r)
	}
	if len(recipients) > 0 {
		return recipients, nil
	}
	passphrase, err := o.askPassphrase(ctx, a, true)
	defer wipe(passphrase)
	if err != nil {
		return nil, fmt.Errorf("cannot read the passphrase: %w", err)
	}
	r, err := age.NewScryptRecipient(string(passphrase))
	return []age.Recipient{r}, err
}

// keys are what opens a backup.
func (o backupOptions) keys(ctx context.Context, a *app) ([]age.Identity, error) {
	if o.identity != "" {
		f, err := os.Open(o.identity)
		if err != nil {
			return nil, fmt.Errorf("cannot read the private key: %w", err)
		}
		defer f.Close()
		return age.ParseIdentities(f)
	}
	passphrase, err := o.askPassphrase(ctx, a, false)
	defer wipe(passphrase)
	if err != nil {
		return nil, fmt.Errorf("cannot read the passphrase: %w", err)
	}
	i, err := age.NewScryptIdentity(string(passphrase))
	return []age.Identity{i}, err
}

// askPassphrase asks on the terminal, for a new one twice.
func (o backupOptions) askPassphrase(ctx context.Context, a *app, twice bool) ([]byte, error) {
	if o.passphrase.given() {
		return a.token(ctx, o.passphrase, "")
	}
	tty, err := os.OpenFile(a.tty, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, &noTerminalError{err}
	}
	defer tty.Close()
	first, err := askHidden(ctx, tty, "Passphrase of the backup: ")
	if err == nil {
		err = checkToken(first)
	}
	if err != nil || !twice {
		return first, err
	}
	second, err := askHidden(ctx, tty, "Again: ")
	defer wipe(second)
	if err == nil && !bytes.Equal(first, second) {
		err = errors.New("the two answers differ")
	}
	return first, err
}
