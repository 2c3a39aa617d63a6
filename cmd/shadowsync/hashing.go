package main

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shadowsync/shadowsync/internal/crypt"
	"github.com/shadowsync/shadowsync/internal/proof"
)

// job is one target on its way.
type job struct {
	target
	application string
	before      person // when the command began
	secret      []byte // generated
	hash        string // of the new password, for the OS
	storeHash   string // and for a store that cannot take that
	fate        fate
}

// batches prepares the jobs, and yields what is ready to be set: the next batch is
// hashed while the last one is set. Once ctx ends, what is not set yet keeps what it has.
func (r *errand) batches(ctx context.Context, jobs []*job) <-chan []*job {
	ready := make(chan []*job)
	if len(jobs) > 1 {
		hardenCrowd()
	}
	go func() {
		defer close(ready)
		defer r.verb.dismissJudge()
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

// prepare makes the hashes for as many jobs as one batch takes, on all processors,
// and returns how many. Of the first n jobs all are done, of the others none.
func (r *errand) prepare(ctx context.Context, jobs []*job) int {
	until := time.Now().Add(r.app.batchTime)
	var next, done atomic.Int64
	var wg sync.WaitGroup
	method, err := crypt.MethodOfSystem(r.engine.Root())
	for range min(runtime.NumCPU(), len(jobs)) {
		wg.Go(func() {
			for ctx.Err() == nil && time.Now().Before(until) {
				i := int(next.Add(1)) - 1
				if i >= len(jobs) {
					return
				}
				jobs[i].fate.err = cmp.Or(err, jobs[i].prepare(r, method))
				done.Add(1)
				r.meter.step()
			}
		})
	}
	wg.Wait()
	return int(done.Load())
}

// prepare makes what takes long: the hashes of a new password.
func (j *job) prepare(r *errand, method crypt.Method) (err error) {
	token := j.token
	if r.verb.generates {
		j.secret = generatePassword()
		token = j.secret
	}
	if token == nil {
		return nil
	}
	defer wipe(j.token)
	if err := checkToken(token); err != nil {
		return err
	}
	verdict := make(chan error, 1)
	go func() { verdict <- r.allowed(j, token) }() // mostly in another process
	j.hash, err = method.Generate(token)
	if err := cmp.Or(<-verdict, err); err != nil {
		return err
	}
	formats := r.engine.Reconciler(j.application).Store.Capabilities().Formats
	if formats.Accept(j.hash) {
		return nil
	}
	if j.storeHash, err = proof.Hash(formats, token); err != nil {
		return fmt.Errorf("%s's credential store cannot hold it: %w", j.application, err)
	}
	return nil
}
