package proof

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shadowsync/shadowsync/internal/password/crypt"
	"github.com/shadowsync/shadowsync/internal/password/crypt/format"
	"github.com/shadowsync/shadowsync/internal/password/scheme"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// Target is what a store takes in place of the OS's hash.
type Target struct {
	Account string             `json:"account,omitempty"`
	Formats shadowsync.Formats `json:"formats,omitempty"` // that the store's application can verify; none: only prove
	Scheme  string             `json:"scheme,omitempty"`  // of the application's own; empty: crypt(3)
	Cost    int                `json:"cost,omitempty"`    // of a new value, if Like has none
	// Like is the store's present value, or the last one known. A new value gets its form, its cost and
	// the length of its salt.
	Like string `json:"like,omitempty"`
}

// For returns the target of an account in a store with these capabilities.
func For(c shadowsync.Capabilities, account, like string) Target {
	return Target{Account: c.Spelt(account), Formats: c.Formats, Scheme: c.Scheme, Cost: c.Cost, Like: like}
}

// likeWithin bounds the wait for the store's present value, while passwd waits.
const likeWithin = 300 * time.Millisecond

// Of returns the target of an account of a reconciler's store. present reports whether its Like is what
// the store holds now; else it is the baseline's.
func Of(ctx context.Context, r *shadowsync.Reconciler, account string) (t Target, present bool) {
	t = For(r.Store.Capabilities(), account, "")
	if t.Scheme == "" {
		return t, false
	}
	if s, err := readWithin(ctx, r.Store, account); err == nil {
		record, there := s.Accounts[account]
		t.Like = record.Hash
		return t, there
	}
	if m, err := r.State.Survey(ctx, r.Application.Name, []string{account}); err == nil && m.Accounts[account].Baseline != nil {
		t.Like = m.Accounts[account].Baseline.Store.Hash
	}
	return t, false
}

// readWithin reads an account, if the store answers so soon. Otherwise the store goes on: it bounds its own
// calls, and would take the end of this short wait for a sign that it hangs.
func readWithin(ctx context.Context, store shadowsync.CredentialStore, account string) (shadowsync.StoreSnapshot, error) {
	type answer struct {
		snapshot shadowsync.StoreSnapshot
		err      error
	}
	came := make(chan answer, 1)
	go func() {
		s, err := store.Read(context.WithoutCancel(ctx), []string{account})
		came <- answer{s, err}
	}()
	soon := time.NewTimer(likeWithin)
	defer soon.Stop()
	select {
	case a := <-came:
		return a.snapshot, a.err
	case <-soon.C:
		return shadowsync.StoreSnapshot{}, context.DeadlineExceeded
	case <-ctx.Done():
		return shadowsync.StoreSnapshot{}, context.Cause(ctx)
	}
}

// Needed reports whether the store needs another hash than the OS's.
func (t Target) Needed(osHash string) bool { return t.Scheme != "" || !t.Formats.Accept(osHash) }

// Hash returns what the store holds for a clear text: the one place where such a hash is made. If there
// is none, the error is a *shadowsync.RefusedError.
func (t Target) Hash(secret []byte) (string, error) {
	if t.Scheme != "" {
		s, err := scheme.Find(t.Scheme)
		if err != nil {
			return "", err
		}
		return s.Make(secret, t.Account, t.Like, t.Cost)
	}
	f, err := t.format()
	if err != nil {
		return "", err
	}
	hash, err := crypt.Generate(f, secret)
	if errors.Is(err, crypt.ErrTokenTooLong) {
		return "", &shadowsync.RefusedError{Reason: fmt.Sprintf("longer than %d bytes", crypt.Longest(f))}
	}
	return hash, err
}

// fits reports whether a clear text is the password behind Like.
func (t Target) fits(secret []byte) (bool, error) {
	s, err := scheme.Find(t.Scheme)
	if err != nil {
		return false, err
	}
	return s.Verify(t.Like, secret, t.Account)
}

// format returns the first of these formats that shadowsync can make.
func (t Target) format() (format.Format, error) {
	for _, prefix := range t.Formats {
		for _, f := range format.Formats() {
			if f.CanGenerate() && f.Prefix() == prefix {
				return f, nil
			}
		}
	}
	return format.Unknown, errors.New("it takes no hash format that shadowsync makes")
}

// price is what Hash takes.
func (t Target) price() scheme.Price {
	s, err := scheme.Find(t.Scheme)
	if err != nil {
		return scheme.Price{} // crypt(3): see broker.makeRoom
	}
	return s.Price(t.Like, t.Cost)
}
