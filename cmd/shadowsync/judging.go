package main

import (
	"context"
	"maps"
	"sync"

	"github.com/shadowsync/shadowsync/internal/policy"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// The exemptions from the password policy, as they are audited.
const (
	exemptByWish    = ", without the password policy"
	exemptByMounted = ", without the machine's own password rules"
	exemptByAge     = ", within the minimum age"
	exemptByExpiry  = ", beyond the maximum age"
)

// callJudge starts what judges new passwords by the machine's rules. It loads its
// modules while the engine opens: judge waits for no more than its start.
func callJudge(root string) (judge func() (*policy.Judge, error), dismiss func()) {
	judge = sync.OnceValues(func() (*policy.Judge, error) { return policy.NewJudge(root) })
	go func() { _, _ = judge() }() // who asks for it is told
	return judge, func() {
		j, _ := judge()
		verb{judge: j}.dismissJudge()
	}
}

// noJudge is the exemption that somebody wished.
func noJudge() (*policy.Judge, error) { return nil, nil } //nolint:nilnil // nobody judges

// judgedBy adds the judge. Rules that are there and cannot be asked, on a mounted
// system, are an exemption too, and go on record.
func (v verb) judgedBy(judge *policy.Judge, err error) (verb, error) {
	switch {
	case judge == nil:
		v.name += exemptByWish
	case judge.Skipped:
		v.name += exemptByMounted
	}
	v.judge = judge
	return v, err
}

// dismissJudge ends the judge, who may be gone already.
func (v verb) dismissJudge() {
	if v.judge != nil {
		_ = v.judge.Close() // a folder that stays in /run goes with the boot
	}
}

// allowed judges a new password: by the configuration first, which costs nothing.
func (r *errand) allowed(j *job, token []byte) error {
	if r.verb.judge == nil {
		return nil
	}
	if err := r.rules.CheckAgain(token, j.before.Credential, j.before.memory.Record); err != nil {
		return err
	}
	return r.verb.judge.Check(j.name, token)
}

// memories is what is on record of accounts, for the rule that no password comes back.
func (r *errand) memories(ctx context.Context, names []string) (map[string]shadowsync.AccountMemory, error) {
	all := map[string]shadowsync.AccountMemory{}
	if r.verb.judge == nil || r.engine.Config.Password.History == 0 {
		return all, nil
	}
	parts := map[string][]string{}
	for _, name := range names {
		application := r.managers[name].Name
		parts[application] = append(parts[application], name)
	}
	for application, part := range parts {
		memory, err := r.engine.State.Load(ctx, application, part)
		if err != nil {
			return nil, err
		}
		maps.Copy(all, memory.Accounts)
	}
	return all, nil
}
