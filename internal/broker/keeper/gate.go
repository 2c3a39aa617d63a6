package keeper

import (
	"context"
	"sync"
	"time"
)

// AnswerWithin is the deadline for an answer to the PAM module, which waits two seconds.
const AnswerWithin = 1800 * time.Millisecond

// gate blocks wait while an announcement is in progress.
type gate struct {
	mu     sync.Mutex
	inside int
	open   chan struct{} // closed when the last announcement has ended
}

// begin marks an announcement as in progress; the result ends it.
func (g *gate) begin() func() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inside == 0 {
		g.open = make(chan struct{})
	}
	g.inside++
	return g.leave
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inside--; g.inside == 0 {
		close(g.open)
	}
}

// wait returns once no announcement is in progress, or ctx ends. It waits no longer than one
// announcement may take: a steady stream must not starve other work.
func (g *gate) wait(ctx context.Context) {
	g.mu.Lock()
	inside, open := g.inside, g.open
	g.mu.Unlock()
	if inside == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, AnswerWithin)
	defer cancel()
	select {
	case <-open:
	case <-ctx.Done():
	}
}
