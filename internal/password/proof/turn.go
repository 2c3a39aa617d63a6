package proof

import "context"

// At most two hashes of applications' schemes are made at once, and only one of those that take more
// than bigMemory: a flood of changes must not take a small machine's processors and memory.
const (
	mostAtOnce = 2
	bigMemory  = 100_000_000 // bytes
)

var (
	all = make(chan struct{}, mostAtOnce)
	big = make(chan struct{}, 1)
)

// Turn waits until this process may make the target's hash, or ctx ends. done lets the next one go on.
func (t Target) Turn(ctx context.Context) (done func(), err error) {
	if t.Scheme == "" {
		return func() {}, nil
	}
	wanted := []chan struct{}{all}
	if t.price().Memory > bigMemory {
		wanted = []chan struct{}{big, all} // the big ones wait outside, so that others go past them
	}
	var held []chan struct{}
	done = func() {
		for _, c := range held {
			<-c
		}
	}
	for _, c := range wanted {
		select {
		case c <- struct{}{}:
			held = append(held, c)
		case <-ctx.Done():
			done()
			return nil, context.Cause(ctx)
		}
	}
	return done, nil
}
