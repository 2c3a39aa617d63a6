package broker

import (
	"context"
	"sync"
)

// gate is closed while anybody is inside.
type gate struct {
	mu     sync.Mutex
	inside int
	open   chan struct{} // closed when the last one has left
}

// begin goes inside; the result leaves.
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

// wait returns once nobody is inside, or ctx ends. It waits no longer than one
// announcement may take: others without end must not hold back everything else.
func (g *gate) wait(ctx context.Context) {
	g.mu.Lock()
	inside, open := g.inside, g.open
	g.mu.Unlock()
	if inside == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	select {
	case <-open:
	case <-ctx.Done():
	}
}
