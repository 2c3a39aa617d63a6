package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/detect/origin"
	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/state/notes"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// strayFor is how long we keep a note about an account that is not managed or has no readable line:
// the administrator may be about to add it to the configuration, or to repair the line.
const strayFor = 24 * time.Hour

// keptList is the copy of the list of managed accounts that survives a boot.
const keptList = HomeDir + "/managed"

// Provide prepares what the PAM module needs while none of our processes runs: the folder for its
// notes, and a copy of the list of managed accounts that survives a boot.
func Provide(root string, c *config.Config) error {
	if err := notes.Prepare(root); err != nil {
		return err
	}
	list := ManagedList(c, nil)
	if inroot.Holds(root, keptList, list) {
		return nil
	}
	return inroot.Replace(root, keptList, list, 0o600)
}

// Withdraw removes what Provide made.
func Withdraw(root string) error {
	err := inroot.RemoveFile(root, keptList)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, inroot.RemoveAll(root, notes.Dir))
}

// noted is an account with the notes about it.
type noted struct {
	account string
	oldest  notes.Note // shows whether the change still stands
	newest  notes.Note // shows who made it
}

// Noted names the accounts of an application with unprocessed notes of the PAM module. Notes in a
// folder to which other users than root have access are ignored.
func (e *Engine) Noted(application string) (map[string]bool, error) {
	folder, list, err := e.notes()
	if folder == nil || err != nil {
		return nil, err
	}
	defer folder.Close()
	names := map[string]bool{}
	about, _ := e.sortNotes(application, list)
	for _, n := range about {
		names[n.account] = true
	}
	return names, nil
}

func (e *Engine) notes() (*notes.Folder, []notes.Note, error) {
	folder, err := notes.Open(e.root)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	list, err := folder.List()
	if err != nil {
		return nil, nil, errors.Join(err, folder.Close())
	}
	return folder, list, nil
}

// sortNotes finds the accounts of an application that the notes are about. Strays are old notes
// about accounts that no application manages.
func (e *Engine) sortNotes(application string, list []notes.Note) (about []noted, strays []notes.Note) {
	if len(list) == 0 {
		return nil, nil
	}
	accounts := e.reconcilers[application].Application.Accounts
	mine := make(map[string]bool, len(accounts))
	for _, name := range accounts {
		mine[name] = true
	}
	at := map[string]int{}
	add := func(account string, n notes.Note) {
		i, ok := at[account]
		if !ok {
			i, at[account] = len(about), len(about)
			about = append(about, noted{account: account, oldest: n})
		}
		about[i].newest = n
	}
	for _, n := range list {
		account := n.Account()
		switch {
		case account == "": // it is about every account whose name is too long for a link
			found := false
			for _, name := range accounts {
				if n.Of(name) {
					found = true
					add(name, n)
				}
			}
			if !found && e.stray(n) {
				strays = append(strays, n)
			}
		case mine[account]:
			add(account, n)
		case e.stray(n):
			strays = append(strays, n)
		}
	}
	return about, strays
}

func (e *Engine) stray(n notes.Note) bool {
	if !old(n) {
		return false
	}
	for _, a := range e.Config.Applications {
		if slices.ContainsFunc(a.Accounts, n.Of) {
			return false
		}
	}
	return true
}

func old(n notes.Note) bool { return time.Since(n.At) > strayFor }

// honourNotes announces the changes about which the PAM module left notes because no broker took
// them. It removes the notes once that is recorded.
func (e *Engine) honourNotes(ctx context.Context, application string) error {
	folder, list, err := e.notes()
	if folder == nil || err != nil {
		return err
	}
	defer folder.Close()
	about, done := e.sortNotes(application, list)
	if e.options.Volatile { // the notes stay: nothing else that persists has their content
		_, err := e.announceNotedToAll(ctx, application, about)
		return err
	}
	for i := range about {
		for _, n := range []*notes.Note{&about[i].oldest, &about[i].newest} {
			if err := folder.Claim(n); err != nil {
				return err
			}
		}
	}
	there, err := e.announceNotedToAll(ctx, application, about)
	if err != nil {
		return err
	}
	for _, n := range about {
		if there[n.account] || old(n.newest) {
			done = append(done, n.oldest, n.newest)
		}
	}
	for _, n := range done {
		if err := folder.Claim(&n); err != nil {
			return err
		}
		if err := folder.Drop(n); err != nil {
			return err
		}
	}
	return nil
}

// announceNotedToAll records what notes say for every store of the application, since the notes are
// dropped then.
func (e *Engine) announceNotedToAll(ctx context.Context, application string, about []noted) (there map[string]bool, err error) {
	for _, h := range e.Holders(application) {
		if there, err = e.announceNoted(ctx, h.Name, about); err != nil {
			return nil, err
		}
	}
	return there, nil
}

// announceNoted records what notes say. It reads the accounts after the notes were claimed, and
// returns which of them exist.
func (e *Engine) announceNoted(ctx context.Context, application string, about []noted) (there map[string]bool, err error) {
	if len(about) == 0 {
		return nil, nil
	}
	names := make([]string, len(about))
	for i, n := range about {
		names[i] = n.account
	}
	fields, err := e.Accounts.Fields(ctx, names)
	if err != nil {
		return nil, err
	}
	snapshot, err := e.Accounts.Read(ctx, names)
	if err != nil {
		return nil, err
	}
	memory, err := e.State.Load(ctx, application, names)
	if err != nil {
		return nil, err
	}
	there = make(map[string]bool, len(about))
	var changes []shadowsync.Change
	var gone []shadowsync.Event
	for _, n := range about {
		account, ok := snapshot.Accounts[n.account]
		there[n.account] = ok
		by := e.originOfNote(n.newest)
		switch {
		case !ok:
		case n.oldest.Undone(fields[n.account]) && waits(memory.Accounts[n.account], n):
		case n.oldest.Undone(fields[n.account]) && e.reconcilers[application].Application.Store != "": // told for the first store
		case n.oldest.Undone(fields[n.account]):
			gone = append(gone, undone(application, n.account, by))
		case !known(memory.Accounts[n.account], account.Hash):
			changes = append(changes, shadowsync.Change{Account: n.account, OS: account.Credential, Origin: by})
		}
	}
	events := append(gone, e.notJudged(application, changes)...)
	if len(events) > 0 {
		if err := e.Audit(ctx, events...); err != nil {
			return nil, err
		}
	}
	if len(changes) == 0 {
		return there, nil
	}
	_, err = e.reconcilers[application].AnnounceAll(ctx, changes)
	return there, err
}

// notJudged returns events for noted passwords that were not checked against the rules: shadowsync,
// which would have checked them, did not answer the PAM module.
func (e *Engine) notJudged(application string, changes []shadowsync.Change) (events []shadowsync.Event) {
	r := e.reconcilers[application]
	if !r.Application.Judged {
		return nil
	}
	for _, c := range changes {
		if c.OS.Kind() != shadowsync.KindPassword || r.Vouched != nil && r.Vouched(c.Account) {
			continue
		}
		events = append(events, shadowsync.Event{
			At: time.Now(), Application: application, Account: c.Account, Action: "judged", Origin: c.Origin,
			Reason: "not judged: it was set while shadowsync did not answer",
		})
	}
	return events
}

func (e *Engine) originOfNote(n notes.Note) shadowsync.Origin {
	return shadowsync.Origin{At: n.At, SeenBy: shadowsync.SeenByPAM, UID: &n.UID, By: origin.UserName(e.root, n.UID)}
}

// known reports whether a password is already recorded as announced: the broker took it after the
// module had stopped waiting.
func known(m shadowsync.AccountMemory, hash string) bool {
	if m.Open != nil {
		return m.Open.OS.Hash == hash && m.Open.Origin.SeenBy.Announced()
	}
	return m.Baseline != nil && m.Baseline.OS.Hash == hash && m.LastChange != nil && m.LastChange.SeenBy.Announced()
}

// waits reports whether the change that a note is about is recorded and waits for the store. If the
// OS has the password from before the change, the reconcile will restore it.
func waits(m shadowsync.AccountMemory, n noted) bool {
	return m.Open != nil && m.Open.Origin.SeenBy.Announced() && !m.Open.Origin.At.Before(n.oldest.At) && !n.oldest.Undone(m.Open.OS.Hash)
}

// undone is the audit event for a change that we could not take and that is gone: the application
// started meanwhile and wrote its old password back.
func undone(application, account string, by shadowsync.Origin) shadowsync.Event {
	return shadowsync.Event{
		At: time.Now(), Application: application, Account: account, Action: "undone", Origin: by,
		Reason: fmt.Sprintf("the password that was set at %s while shadowsync could not process it is lost: the OS has the one before it again",
			by.At.Format(time.DateTime)),
	}
}
