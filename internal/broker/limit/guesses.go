package limit

import (
	"sync"
	"time"

	"github.com/shadowsync/shadowsync/internal/factor"
)

// How many wrong codes of an account are free in an area, and how often there is one more.
const (
	networkFree, networkEvery = 40, 10 * time.Minute
	allFree, allEvery         = 200, 3 * time.Minute
	warningEvery              = 24 * time.Hour
)

// Guesses slows down the guessing of codes: by delays at each place, and by budgets in wider areas. It is a
// factor.Brake.
type Guesses struct {
	places  Tries
	once    sync.Once
	budgets map[factor.Area]*Budget
}

// budget returns the budget of an area; nil: it has none.
func (g *Guesses) budget(a factor.Area) *Budget {
	g.once.Do(func() {
		g.budgets = map[factor.Area]*Budget{
			factor.InNetwork:  {Most: networkFree, Every: networkEvery},
			factor.Everywhere: {Most: allFree, Every: allEvery},
			factor.Warning:    {Most: 1, Every: warningEvery},
		}
	})
	return g.budgets[a]
}

// Begin counts a try, unless that must wait.
func (g *Guesses) Begin(c factor.Count, now time.Time) (wait time.Duration) {
	if b := g.budget(c.Area); b != nil {
		return b.Spend(c.Name, now)
	}
	return g.places.Begin(c.Name, now)
}

// Spare takes a try back.
func (g *Guesses) Spare(c factor.Count) {
	if b := g.budget(c.Area); b != nil {
		b.Refund(c.Name)
	} else {
		g.places.Spare(c.Name)
	}
}

// Forgive forgets the tries at a place.
func (g *Guesses) Forgive(c factor.Count) { g.places.Forgive(c.Name) }

// Due is Tries.Due.
func (g *Guesses) Due(name string, now time.Time) (unsaid int, due bool) {
	return g.places.Due("audited: "+name, now)
}
