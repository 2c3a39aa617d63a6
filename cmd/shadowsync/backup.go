package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/password/cleartext"
	"github.com/shadowsync/shadowsync/internal/state/backup"
	"github.com/shadowsync/shadowsync/internal/term/plural"
	"github.com/shadowsync/shadowsync/shadowsync"
)

type backupOptions struct {
	file       string
	force      bool
	passphrase tokenSource
	recipients []string // public keys instead of a passphrase
}

func newBackup(a *app) *cobra.Command {
	o := backupOptions{passphrase: tokenSource{fd: -1}}
	c := &cobra.Command{
		Use:   "backup FILE",
		Short: "Seal the state and the embedded credential stores into a file",
		Long: "Writes one file with the state (baselines, history, audit trail, second factors and their\n" +
			"key) and the embedded credential stores, sealed with a passphrase or for --recipient,\n" +
			"readable by its owner alone. Nothing is stopped meanwhile. A FILE that exists is replaced\n" +
			"only with --force.\n" +
			"It is an age file with a tar archive in it:\n" +
			"  age -d FILE | tar t\n" +
			"The stores that are the applications' own, the configuration and /etc/shadow are not in it.",
		Args: exactly(1),
		RunE: func(c *cobra.Command, files []string) error {
			o.file = files[0]
			return runBackup(c.Context(), a, o)
		},
	}
	addPassphraseFlags(c, &o.passphrase)
	c.Flags().StringArrayVar(&o.recipients, "recipient", nil, "seal for the holder of this `age1...` key; may be given again")
	c.Flags().BoolVar(&o.force, "force", false, "replace FILE if it exists")
	return c
}

func addPassphraseFlags(c *cobra.Command, source *tokenSource) {
	c.Flags().BoolVar(&source.stdin, "stdin", false, "read the passphrase, one line, from standard input")
	c.Flags().IntVar(&source.fd, "fd", -1, "read the passphrase, one line, from file descriptor `n`")
}

// backupResult is the object that backup and restore print with --json.
type backupResult struct {
	File       string            `json:"file"`
	Created    time.Time         `json:"created"`
	Node       string            `json:"node"`
	Databases  []backup.Database `json:"databases"`
	FactorKey  bool              `json:"factor_key"` // backup: it is in the file; restore: it was missing, and is put back
	Factors    []restoredFactor  `json:"second_factors,omitempty"`
	Recipients []string          `json:"recipients,omitempty"` // of backup; empty if sealed with a passphrase
	Replaced   string            `json:"replaced,omitempty"`   // the folder that keeps what restore replaced
	DryRun     bool              `json:"dry_run"`
	Elsewhere  string            `json:"elsewhere,omitempty"` // of restore: why differing accounts are held
	Plan       []planned         `json:"plan,omitempty"`      // of restore: which side wins for each account
}

func runBackup(ctx context.Context, a *app, o backupOptions) error {
	_ = cleartext.Harden() // recovering a lost password must work in a container, too
	return a.with(ctx, func(e *engine.Engine) error {
		m := a.manifest(e.Config)
		err := a.backUp(ctx, e, o, &m)
		noted := a.record(ctx, e, "backup", shadowsync.Event{Action: "backed-up", Reason: o.told()}, err)
		if err != nil {
			return noted
		}
		r := backupResult{File: o.file, Created: m.Created, Node: m.Node, Databases: m.Databases, FactorKey: m.FactorKey != "", Recipients: o.recipients}
		return errors.Join(noted, a.showBackup(r))
	})
}

// told is the audit's text for a backup: where it is, and who can open it.
func (o backupOptions) told() string {
	if len(o.recipients) == 0 {
		return o.file + ", sealed with a passphrase"
	}
	return o.file + ", sealed for " + strings.Join(o.recipients, ", ")
}

// backUp checks the target file before it asks for a passphrase.
func (a *app) backUp(ctx context.Context, e *engine.Engine, o backupOptions, m *backup.Manifest) (err error) {
	if err := backup.CheckTarget(o.file, o.force); err != nil {
		return &targetError{o.file, err}
	}
	recipients, err := o.seals(ctx, a)
	if err != nil {
		return err
	}
	system, err := engine.SystemOf(a.root, e.Config, nil)
	if err != nil {
		return err
	}
	defer system.Close()
	staging, err := system.Stage()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, staging.Close()) }()
	err = locked(ctx, e.Locker(), func(ctx context.Context) (err error) {
		if m.Databases, err = system.Collect(ctx, staging.Path); err != nil {
			return err
		}
		m.FactorKey, err = system.CollectKey(staging.Path)
		if errors.As(err, new(*factor.KeyError)) { // passwords are worth a backup without it
			a.warn("%v: it is not in the backup", err)
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := backup.Write(ctx, o.file, o.force, staging.Path, *m, recipients...); err != nil {
		return &targetError{o.file, err}
	}
	return nil
}

// leaseTick is the interval at which long work renews the engine lock's lease.
const leaseTick = time.Second

// locked runs do under the engine lock, so that no change can fall between the copies of two
// databases. It cancels do's context if the lock is lost.
func locked(ctx context.Context, locker shadowsync.Locker, do func(context.Context) error) error {
	lease, err := patience{locker}.Acquire(ctx)
	if err != nil {
		return err
	}
	defer lease.Release()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		tick := time.NewTicker(leaseTick)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if err := lease.Extend(); err != nil {
				cancel(err)
			}
		}
	}()
	return do(ctx)
}

func (a *app) showBackup(r backupResult) error {
	if a.json {
		return a.printJSON(r)
	}
	what := plural.Count(len(r.Databases), "database")
	if r.FactorKey {
		what += " and the key of the second factors"
	}
	a.tell("%s sealed in %s", what, r.File)
	return nil
}

// passphraseWork is the base-2 logarithm of scrypt's work factor, age's own default: about one
// second. Tests seal and open dozens of backups and use less.
var passphraseWork = 18

// seals returns the recipients that the backup is sealed for.
func (o backupOptions) seals(ctx context.Context, a *app) ([]age.Recipient, error) {
	if len(o.recipients) > 0 && o.passphrase.given() {
		return nil, &usage{errors.New("a backup is sealed either with a passphrase or for --recipient: give only one of them"), "shadowsync backup"}
	}
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
	passphrase, err := a.askPassphrase(ctx, o.passphrase, "backup "+o.file, true)
	defer cleartext.Wipe(passphrase)
	if err == nil {
		err = checkPassphrase(passphrase)
	}
	if err != nil {
		return nil, err
	}
	r, err := age.NewScryptRecipient(string(passphrase))
	if err != nil {
		return nil, err
	}
	r.SetWorkFactor(passphraseWork)
	return []age.Recipient{r}, nil
}

// manifest describes a backup made here and now.
func (a *app) manifest(c *config.Config) backup.Manifest {
	return backup.Manifest{Created: time.Now().UTC().Truncate(time.Second), Node: c.Node.Name, Machine: a.machine(), By: version}
}

// machine is a digest of machine-id(5): a restore uses it to recognise the machine, and the backup
// does not disclose the id itself. It is empty without a machine-id.
func (a *app) machine() string {
	f, err := inroot.Open(a.root, "/etc/machine-id", os.O_RDONLY)
	if err != nil {
		return ""
	}
	defer f.Close()
	id, err := io.ReadAll(io.LimitReader(f, 64))
	if id = bytes.TrimSpace(id); err != nil || len(id) < 32 {
		return ""
	}
	sum := sha256.Sum256(append([]byte("shadowsync backup\n"), id...))
	return hex.EncodeToString(sum[:16])
}
