package bulk

import (
	"context"
	"maps"
	"sync"

	"github.com/shadowsync/shadowsync/internal/password/policy"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// The exemptions from the password policy, in the audit's words.
const (
	exemptByWish    = ", without the password policy"
	exemptByMounted = ", without the machine's own password rules"
	exemptByAge     = ", within the minimum age"
	exemptByExpiry  = ", beyond the maximum age"
)

// CallJudge starts the process that checks new passwords against the machine's rules. It loads its
// modules while the engine opens; judge waits only for its start.
func CallJudge(root string) (judge func() (*policy.Judge, error), dismiss func()) {
	judge = sync.OnceValues(func() (*policy.Judge, error) { return policy.NewJudge(root) })
	go func() { _, _ = judge() }() // judge returns the error
	return judge, func() {
		j, _ := judge()
		Verb{Judge: j}.dismissJudge()
	}
}

// NoJudge is the exemption that the administrator asked for.
func NoJudge() (*policy.Judge, error) { return nil, nil } //nolint:nilnil // nobody judges

// JudgedBy adds the judge. Rules of a mounted system that cannot be asked count as an exemption
// too, and are audited.
func (v Verb) JudgedBy(judge *policy.Judge, err error) (Verb, error) {
	switch {
	case judge == nil:
		v.Name += exemptByWish
	case judge.Skipped:
		v.Name += exemptByMounted
	}
	v.Judge = judge
	return v, err
}

// dismissJudge ends the judge's process, which may have ended already.
func (v Verb) dismissJudge() {
	if v.Judge != nil {
		_ = v.Judge.Close() // a leftover folder in /run disappears at the next boot
	}
}

// allowed checks a new password, first against the configuration, which costs nothing.
func (r *Run) allowed(j *Job, token []byte) error {
	if r.verb.Judge == nil {
		return nil
	}
	if err := r.rules.CheckAgain(token, j.Before.Credential, j.Before.Memory.RecordFor(j.Before.Account, true)); err != nil {
		return err
	}
	return r.verb.Judge.Check(j.Name, token)
}

// memories loads the accounts' histories, for the rule against reusing passwords.
func (r *Run) memories(ctx context.Context, names []string) (map[string]shadowsync.AccountMemory, error) {
	all := map[string]shadowsync.AccountMemory{}
	if r.verb.Judge == nil || r.Engine.Config.Password.History == 0 {
		return all, nil
	}
	parts := map[string][]string{}
	for _, name := range names {
		application := r.managers[name].Name
		parts[application] = append(parts[application], name)
	}
	for application, part := range parts {
		memory, err := r.Engine.Recall(ctx, application, part)
		if err != nil {
			return nil, err
		}
		maps.Copy(all, memory)
	}
	return all, nil
}
