package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/password/cleartext"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/internal/state/backup"
	"github.com/shadowsync/shadowsync/internal/term/plural"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/systemd"
)

type restoreOptions struct {
	file       string
	passphrase tokenSource
	identity   string // file of the private key
	prefer     string // baseline, os or store; empty: the usual rules decide, or the account is held
	dryRun     bool
}

// side is the side that wins wherever an account differs from the backup.
func (o restoreOptions) side() shadowsync.Side { return syncOptions{prefer: o.prefer}.side() }

func newRestore(a *app) *cobra.Command {
	o := restoreOptions{passphrase: tokenSource{fd: -1}}
	c := &cobra.Command{
		Use:   "restore {FILE | FOLDER}",
		Short: "Put a backup's state and embedded credential stores back",
		Long: "Replaces the state and the embedded credential stores by those of a backup, all of them\n" +
			"or none; the daemon may stay running. The whole backup is read and checked before anything\n" +
			"changes, and one of a newer shadowsync is refused. What was there stays, in a new folder\n" +
			"in " + engine.StateDir + "/" + backup.KeptName + " for each restore. Give that\n" +
			"folder instead of a FILE to put it back; delete it when you no longer need it.\n" +
			"The restored audit trail says how the one before it ended, and where it is. A restore that\n" +
			"is killed is finished or dropped by the next command, which says so.\n\n" +
			"Of a second factor that both know, the later one holds; no used code becomes valid again.\n" +
			"One that only the backup knows is as of then: it says so. The key of the second factors is\n" +
			"put back where it is missing or damaged; otherwise the present key stays, and what the\n" +
			"backup's opens is sealed under it.\n\n" +
			"It prints beforehand who wins for each account. A value that changed since the backup wins,\n" +
			"like any new change. On another machine or node, or where the state is not a continuation of\n" +
			"the backup's, differences are held: nothing is applied until sync --prefer or history restore\n" +
			"decides. --prefer decides at once: baseline gives the OS and the store what the backup knows\n" +
			"of each. Every value that loses stays in the history.",
		Args: exactly(1),
		RunE: func(c *cobra.Command, files []string) error {
			o.file = files[0]
			if o.side() == shadowsync.Neither && o.prefer != preferBaseline && c.Flags().Changed("prefer") {
				return usageError(c, fmt.Errorf("--prefer %s: must be baseline, os or store", o.prefer))
			}
			return runRestore(c.Context(), a, o)
		},
	}
	addPassphraseFlags(c, &o.passphrase)
	c.Flags().StringVar(&o.identity, "identity", "", "the `file` with the private key, of a backup for a recipient")
	c.Flags().BoolVar(&o.dryRun, "dry-run", false, "print who would win for each account, and do nothing")
	c.Flags().StringVar(&o.prefer, "prefer", "", "what holds where OS or store differ from the backup: `side` is baseline (what the backup knows), os or store")
	completeFixed(c, "prefer", preferBaseline, "os", "store")
	return c
}

// restore is a restore in progress. It needs no engine, because the state may be unreadable.
type restore struct {
	app     *app
	options restoreOptions
	config  *config.Config
	system  backup.System
	locker  shadowsync.Locker
	origin  shadowsync.Origin
	event   shadowsync.Event // the last record of the restored trail
}

func runRestore(ctx context.Context, a *app, o restoreOptions) error {
	_ = cleartext.Harden() // recovering a lost password must work in a container, too
	c, err := a.load()
	if err != nil {
		return err
	}
	if err := state.Prepare(a.root, engine.StateDir); err != nil {
		return err
	}
	r := &restore{app: a, options: o, config: c, origin: a.origin()}
	if r.system, err = engine.SystemOf(a.root, c, nil); err != nil {
		return err
	}
	defer r.system.Close()
	r.system.Probe = restoreProbe()
	r.locker = state.NewLockerIn(a.root, engine.StateDir, "shadowsync restore")
	if err := r.resume(ctx); err != nil {
		return err
	}
	err = r.run(ctx)
	if told := (*heldError)(nil); err != nil && !errors.As(err, &told) {
		event := came(shadowsync.Event{}, r.origin, "restore", err)
		return errors.Join(err, r.note(ctx, event))
	}
	return err
}

// note audits a failed restore if there is a trail to write to.
func (r *restore) note(ctx context.Context, event shadowsync.Event) error {
	err := engine.AuditIn(context.WithoutCancel(ctx), r.app.root, event)
	if errors.Is(err, shadowsync.ErrMalformed) {
		return nil // the trail itself was to be restored
	}
	return err
}

// resume finishes a restore that was killed after its commit, or forgets one that was killed
// before, and says which.
func (r *restore) resume(ctx context.Context) error {
	if !r.system.Interrupted() {
		return nil
	}
	return locked(ctx, r.locker, func(ctx context.Context) error {
		said, err := r.system.Resume(ctx)
		if err != nil || said == "" {
			return err
		}
		r.app.warn("%s", said)
		event := shadowsync.Event{Action: "restore-resumed", Reason: said, At: r.origin.At, Origin: r.origin}
		return r.note(ctx, event)
	})
}

func (r *restore) run(ctx context.Context) (err error) {
	source, err := backup.Open(r.options.file)
	if err != nil {
		return &sourceError{r.options.file, err}
	}
	defer source.Close()
	identities, err := r.keys(ctx, source)
	if err != nil {
		return err
	}
	staging, err := r.system.Stage()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, staging.Close()) }()
	if staging.Found {
		r.app.warn("an earlier backup or restore was interrupted before it changed anything")
	}
	content, err := r.system.Check(ctx, staging, source, identities...)
	if err != nil {
		return r.refused(err)
	}
	plan, err := r.plan(ctx, content)
	if err != nil {
		return err
	}
	if r.options.dryRun {
		return r.showPlan(content, plan)
	}
	if !r.app.json {
		if err := plan.show(r.app); err != nil {
			return err
		}
	}
	var done backup.Swapped
	err = locked(ctx, r.locker, func(ctx context.Context) (err error) {
		done, err = r.swap(ctx, content)
		return err
	})
	if err != nil {
		return err
	}
	engine.Tell(r.app.root, r.event)
	err = r.listFactors(ctx)
	if done.Aside {
		err = errors.Join(err, r.app.reopenState(ctx))
	}
	return errors.Join(err, r.apply(ctx, plan), r.show(content, done, plan), r.undecided(plan))
}

// listFactors lists who must show a code according to the restored state.
func (r *restore) listFactors(ctx context.Context) error {
	db, err := state.OpenIn(ctx, r.app.root, engine.StateDir)
	if err != nil {
		return err
	}
	return errors.Join(engine.WriteEnrolled(ctx, r.app.root, db), db.Close())
}

// undecided returns the conflicts that a person still has to settle.
func (r *restore) undecided(p plan) error {
	held := p.held()
	if len(held) == 0 {
		return nil
	}
	e := &heldError{accounts: held}
	if r.options.dryRun {
		e.file = r.options.file
	}
	return e
}

func (r *restore) showPlan(content *backup.Content, p plan) error {
	if r.app.json {
		return errors.Join(r.app.printJSON(r.result(content, p)), r.undecided(p))
	}
	return errors.Join(p.show(r.app), r.undecided(p))
}

func (r *restore) result(content *backup.Content, p plan) backupResult {
	return backupResult{
		File: r.options.file, Created: content.Created, Node: content.Node, Databases: content.Databases,
		DryRun: r.options.dryRun, Plan: p.accounts, Elsewhere: p.elsewhere,
	}
}

// swap puts the content in place. The new trail records how the previous one ended.
func (r *restore) swap(ctx context.Context, content *backup.Content) (backup.Swapped, error) {
	return r.system.Swap(ctx, content, r.app.manifest(r.config), func(was, kept string) shadowsync.Event {
		event := shadowsync.Event{Action: "restored", Reason: fmt.Sprintf("%s, the backup of %s; the trail before ended with %s and is in %s",
			r.options.file, content.Created.Format(time.RFC3339), was, kept)}
		r.event = came(event, r.origin, "restore", nil)
		return r.event
	})
}

func (r *restore) show(content *backup.Content, done backup.Swapped, p plan) error {
	if r.app.json {
		result := r.result(content, p)
		result.Replaced, result.FactorKey, result.Factors = done.Kept, done.Key, restoredFactors(done.Factors)
		return r.app.printJSON(result)
	}
	r.app.tell("%s restored from %s", plural.Count(len(content.Databases), "database"), r.options.file)
	r.showFactors(content, done)
	if done.Damaged {
		r.app.tell("what was there is kept in %s; it cannot be put back because its state cannot be read", done.Kept)
		return nil
	}
	r.app.tell("what was there is kept; to put it back: %s", r.app.named("shadowsync restore "+shellWord(done.Kept)))
	return nil
}

// reopenState makes the broker open the state again after a restore replaced an unreadable file,
// because the broker still has the old file open.
func (a *app) reopenState(ctx context.Context) error {
	if a.mounted() {
		return nil
	}
	bus := &systemd.Bus{}
	unit, err := bus.Unit(ctx, systemd.BrokerUnit)
	if err != nil || unit.Active != "active" {
		return nil //nolint:nilerr // without systemd no broker runs
	}
	if err = bus.Stop(ctx, systemd.BrokerUnit); err == nil {
		err = bus.Start(ctx, systemd.BrokerUnit)
	}
	if err != nil {
		return fmt.Errorf("cannot restart the daemon, which has the state open that could not be read: %w", err)
	}
	return nil
}

// refused explains what is wrong with a backup in terms of the command line.
func (r *restore) refused(err error) error {
	var missing *backup.NoStoreError
	var none *age.NoIdentityMatchError
	switch {
	case errors.As(err, &missing):
		return mark(err, errNoApplication)
	case errors.As(err, &none) && r.options.identity != "":
		return &sealError{r.options.file, "not sealed for the key in " + r.options.identity, "shadowsync restore " + shellWord(r.options.file) + " --identity FILE"}
	case errors.As(err, &none):
		return &sealError{r.options.file, "sealed with another passphrase", "shadowsync restore " + shellWord(r.options.file)}
	}
	return err
}

// keys returns the keys that open a backup. It reports a wrong kind of key before it asks for a
// passphrase.
func (r *restore) keys(ctx context.Context, source *backup.Source) ([]age.Identity, error) {
	if source.Folder {
		return nil, nil
	}
	forKey, err := source.ForRecipient()
	switch file := r.options.file; {
	case err != nil:
		return nil, err
	case !source.Sealed():
		return nil, fmt.Errorf("cannot read the backup %s: %w", file, backup.ErrNotBackup)
	case forKey && r.options.identity == "":
		e := &sealError{file, "sealed for the holder of a key, not with a passphrase", "shadowsync restore " + shellWord(file) + " --identity FILE"}
		return nil, mark(e, errUsage)
	case !forKey && r.options.identity != "":
		return nil, mark(&sealError{file, "sealed with a passphrase, not for a key", "shadowsync restore " + shellWord(file)}, errUsage)
	case forKey:
		return identitiesIn(ctx, r.options.identity)
	}
	passphrase, err := r.app.askPassphrase(ctx, r.options.passphrase, "restore "+r.options.file, false)
	defer cleartext.Wipe(passphrase)
	if err != nil {
		return nil, err
	}
	i, err := age.NewScryptIdentity(string(passphrase))
	if err != nil {
		return nil, err
	}
	i.SetMaxWorkFactor(maxWork)
	return []age.Identity{i}, nil
}
