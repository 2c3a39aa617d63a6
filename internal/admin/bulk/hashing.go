package bulk

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shadowsync/shadowsync/internal/password/cleartext"
	"github.com/shadowsync/shadowsync/internal/password/crypt"
	"github.com/shadowsync/shadowsync/internal/password/generate"
	"github.com/shadowsync/shadowsync/internal/password/proof"
)

// batches prepares the jobs and yields those that are ready: it hashes the next batch while the
// caller sets the last one. Once ctx ends, accounts that are not set yet stay unchanged.
func (r *Run) batches(ctx context.Context, jobs []*Job) <-chan []*Job {
	ready := make(chan []*Job)
	if len(jobs) > 1 {
		cleartext.HardenCrowd()
	}
	go func() {
		defer close(ready)
		defer r.verb.dismissJudge()
		r.like(ctx, jobs)
		for len(jobs) > 0 {
			n := r.prepare(ctx, jobs)
			if ctx.Err() != nil {
				return
			}
			select {
			case ready <- jobs[:n]:
				jobs = jobs[n:]
			case <-ctx.Done():
				return
			}
		}
	}()
	return ready
}

// prepare makes hashes on all processors for as many jobs as fit into one batch, and returns their
// number n. The first n jobs are done; the others are untouched.
func (r *Run) prepare(ctx context.Context, jobs []*Job) int {
	until := time.Now().Add(r.BatchTime)
	var next, done atomic.Int64
	var wg sync.WaitGroup
	method, err := crypt.MethodOfSystem(r.Engine.Root())
	for range min(runtime.NumCPU(), len(jobs)) {
		wg.Go(func() {
			for ctx.Err() == nil && time.Now().Before(until) {
				i := int(next.Add(1)) - 1
				if i >= len(jobs) {
					return
				}
				jobs[i].Fate.Err = cmp.Or(err, jobs[i].prepare(ctx, r, method))
				done.Add(1)
				r.Ledger.Prepared()
			}
		})
	}
	wg.Wait()
	return int(done.Load())
}

// prepare does the slow work: it holds a new password to the rules and hashes it. A clear text that
// was given ends here; one that was generated is wiped after it was shown.
func (j *Job) prepare(ctx context.Context, r *Run, method crypt.Method) (err error) {
	token := j.Token
	if r.verb.Generates {
		j.Secret = generate.Password()
		token = j.Secret
	}
	if token == nil {
		return nil
	}
	defer cleartext.Wipe(j.Token)
	if err := cleartext.Check(token); err != nil {
		return err
	}
	verdict := make(chan error, 1)
	go func() { verdict <- r.allowed(j, token) }() // usually in another process
	j.hash, err = method.Generate(token)
	if err := cmp.Or(<-verdict, err); err != nil {
		return err
	}
	j.storeHashes = map[string]string{}
	for _, h := range r.Engine.Holders(j.Application) {
		if lender, lent := r.Engine.Config.Lender(h); lent {
			j.storeHashes[h.Name] = j.storeHashes[lender.Name]
			continue
		}
		if j.storeHashes[h.Name], err = j.pair(ctx, r, h.Name, token); err != nil {
			return fmt.Errorf("%s's credential store cannot hold it: %w", h.Name, err)
		}
	}
	return nil
}

// pair makes the hash for a store, if that needs another than the OS's.
func (j *Job) pair(ctx context.Context, r *Run, holder string, token []byte) (string, error) {
	t := proof.For(r.Engine.Reconciler(holder).Store.Capabilities(), j.Name, r.likes[holder][j.Name])
	if !t.Needed(j.hash) {
		return "", nil
	}
	done, err := t.Turn(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	return t.Hash(token)
}

// like reads the stores' present values of these jobs, where new ones follow them in cost and form. A
// store that does not answer has none: the new values get the configured cost.
func (r *Run) like(ctx context.Context, jobs []*Job) {
	r.likes = map[string]map[string]string{}
	names := map[string][]string{} // of accounts, by holder
	for _, j := range jobs {
		for _, h := range r.Engine.Holders(j.Application) {
			names[h.Name] = append(names[h.Name], j.Name)
		}
	}
	for holder, names := range names {
		store := r.Engine.Reconciler(holder).Store
		if !store.Capabilities().Opaque() || !r.verb.TakesTokens && !r.verb.Generates {
			continue
		}
		snapshot, err := store.Read(ctx, names)
		if err != nil {
			continue
		}
		r.likes[holder] = make(map[string]string, len(names))
		for name, account := range snapshot.Accounts {
			r.likes[holder][name] = account.Hash
		}
	}
}
