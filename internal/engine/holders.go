package engine

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// Settled is what became of an account's change in one store.
type Settled struct {
	Holder config.Application
	shadowsync.Outcome
}

// urgency orders states by how much a person must do about them.
var urgency = []shadowsync.ChangeState{
	shadowsync.InSync, shadowsync.Unproven, shadowsync.Queued, shadowsync.NeedsLogin, shadowsync.Changed, shadowsync.Missing, shadowsync.Pending, shadowsync.Conflict,
}

// Worst returns the most urgent of the outcomes in several stores; of equal ones, the first store's.
func Worst(all []Settled) Settled {
	return slices.MaxFunc(all, func(a, b Settled) int {
		return cmp.Compare(slices.Index(urgency, a.State), slices.Index(urgency, b.State))
	})
}

// Holders returns the holders of the application that a holder's name belongs to.
func (e *Engine) Holders(name string) []config.Application {
	for _, a := range e.Config.Applications {
		if a.Name == name {
			return e.Config.Holders(a)
		}
	}
	return nil
}

// Recall returns what is on record of accounts of an application, as its first store's state has it, but with the
// replaced values of all its stores: the first one may be new.
func (e *Engine) Recall(ctx context.Context, application string, names []string) (map[string]shadowsync.AccountMemory, error) {
	first, err := e.State.Load(ctx, application, names)
	if err != nil {
		return nil, err
	}
	holders := e.Holders(application)
	if len(holders) < 2 {
		return first.Accounts, nil
	}
	all := maps.Clone(first.Accounts)
	for _, h := range holders[1:] {
		memory, err := e.State.Load(ctx, h.Name, names)
		if err != nil {
			return nil, err
		}
		for name, other := range memory.Accounts {
			m := all[name]
			m.Record = slices.SortedStableFunc(slices.Values(slices.Concat(m.Record, other.Record)), func(a, b shadowsync.Entry) int {
				return b.Replaced.Compare(a.Replaced)
			})
			all[name] = m
		}
	}
	return all, nil
}

// rouse asks the stores of an application that has several for a sign of life, all at once: one that
// hangs must not keep the others waiting, whose reconciles hold the engine lock one after the other.
func (e *Engine) rouse(ctx context.Context, holders []config.Application) {
	if len(holders) < 2 {
		return
	}
	var all sync.WaitGroup
	for _, h := range holders {
		all.Go(func() { e.Rouse(ctx, h.Name) })
	}
	all.Wait()
}

// Rouse asks one store for a sign of life. Without one, the next call to the store fails at once, and
// tells what is wrong.
func (e *Engine) Rouse(ctx context.Context, holder string) {
	r := e.reconcilers[holder]
	_, err := r.Store.Revision(ctx)
	if accounts := r.Application.Accounts; errors.Is(err, shadowsync.ErrNoRevision) && len(accounts) > 0 {
		_, _ = r.Store.Read(ctx, accounts[:1]) // a server was not asked yet
	}
}

// beside asks the other stores of an application: see shadowsync.Reconciler.Beside.
func (e *Engine) beside(of config.Application) func(ctx context.Context, account string, os shadowsync.Credential) bool {
	return func(ctx context.Context, account string, os shadowsync.Credential) bool {
		for _, h := range e.Config.Holders(of) {
			if h.Name == of.Name {
				continue
			}
			memory, err := e.reconcilers[h.Name].State.Load(ctx, h.Name, []string{account}) // its values may be sealed
			pair := memory.Accounts[account].Baseline
			if err != nil || pair == nil || pair.OS.Password() != os.Password() {
				return false
			}
			now, err := e.reconcilers[h.Name].Store.Read(ctx, []string{account})
			if err != nil || now.Accounts[account].Hash != pair.Store.Hash {
				return false
			}
		}
		return true
	}
}

// mostPasses bounds how often the stores of one application are looked at in turn. What one of them
// changed on the OS side, the others take in the next pass.
const mostPasses = 3

// EachStore looks at every store of an application, and again while one of them changes the OS side.
// It returns what the last look at each store reported, in the order of the holders.
func (e *Engine) EachStore(ctx context.Context, application string, look func(holder config.Application) (shadowsync.Report, error)) ([]shadowsync.Report, error) {
	holders := e.Holders(application)
	e.rouse(ctx, holders)
	reports := make([]shadowsync.Report, len(holders))
	var failed error
	for range mostPasses {
		again := false
		failed = nil
		for i, h := range holders {
			report, err := look(h)
			failed = errors.Join(failed, err)
			if !report.Unchanged || reports[i].Outcomes == nil {
				reports[i] = report
			}
			again = again || len(holders) > 1 && slices.ContainsFunc(report.Outcomes, func(o shadowsync.Outcome) bool { return o.WritesOS })
		}
		if !again {
			break
		}
	}
	return reports, failed
}

// Lend gives the changes of the holders whose stores have the values of others, which stand before them,
// what was made for those.
func (e *Engine) Lend(holders []config.Application, changes []shadowsync.Change) {
	for i := range holders {
		if lender := e.LenderAmong(holders, i); lender >= 0 {
			from := changes[lender]
			changes[i].StoreHash, changes[i].Verdict, changes[i].Reason = from.StoreHash, from.Verdict, from.Reason
		}
	}
}

// LenderAmong returns the index of the holder whose store's values another one's store has; -1: it has
// its own.
func (e *Engine) LenderAmong(holders []config.Application, borrower int) int {
	lender, lent := e.Config.Lender(holders[borrower])
	if !lent {
		return -1
	}
	return slices.IndexFunc(holders, func(a config.Application) bool { return a.Name == lender.Name })
}

// SetEverywhere makes changes of our tools on the OS side and in every store of an application. The
// changes have the hashes that the first store needs, and storeHash returns those of the others. The
// reports stand in the order of the holders.
func (e *Engine) SetEverywhere(ctx context.Context, application string, changes []shadowsync.Change, storeHash func(holder, account string) string) (reports []shadowsync.Report, unwritten shadowsync.Unwritten, err error) {
	holders := e.Holders(application)
	e.rouse(ctx, holders)
	first, err := e.Set(ctx, application, changes)
	reports = []shadowsync.Report{first.Report}
	if first.Unwritten == nil {
		return reports, nil, err
	}
	made := slices.DeleteFunc(slices.Clone(changes), func(c shadowsync.Change) bool { return first.Unwritten[c.Account] != nil })
	for _, h := range holders[1:] {
		for i, c := range made {
			made[i].StoreHash = storeHash(h.Name, c.Account)
		}
		report, failed := e.Follow(ctx, h.Name, made)
		reports, err = append(reports, report), errors.Join(err, failed)
	}
	return reports, first.Unwritten, err
}

// Follow has a further store of an application take changes that Set has made on the OS side.
func (e *Engine) Follow(ctx context.Context, holder string, changes []shadowsync.Change) (shadowsync.Report, error) {
	if len(changes) == 0 {
		return shadowsync.Report{Unchanged: true}, nil
	}
	err := e.reconcilers[holder].Follow(ctx, changes)
	if err != nil {
		return shadowsync.Report{}, err
	}
	return e.Reconcile(ctx, holder, shadowsync.Request{Force: true, Origin: shadowsync.Origin{SeenBy: shadowsync.SeenByWatch}})
}
