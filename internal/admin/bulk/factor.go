package bulk

import (
	"context"
	"errors"
	"fmt"

	"github.com/shadowsync/shadowsync/internal/factor"
)

// dropFactors resets the second factors, if the verb asks for it: after the credential is set, because
// a failed change must leave everything as it was. A factor that could not be reset is told.
func (r *Run) dropFactors(ctx context.Context, jobs []*Job) {
	if !r.verb.DropsFactor {
		return
	}
	factors := r.Engine.Factors(nil) // no code is tried
	for _, j := range jobs {
		if !j.Fate.Done {
			continue
		}
		s := factor.Subject{Realm: factor.Local, Account: j.Name}
		code, err := factors.Reset(ctx, s, r.Engine.FactorLogout(s, r.Origin), r.Origin)
		if errors.Is(err, factor.ErrNotEnrolled) {
			continue
		}
		j.Fate.Factor = FactorFate{code, err}
		if err != nil {
			r.Ledger.Note(r.Engine.Audit(context.WithoutCancel(ctx), r.attempt(j, fmt.Errorf("the password is reset, and the second factor is not: %w", err))))
		}
	}
}
