package main

import (
	"context"
	"maps"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/policy"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// The exemptions from the password policy, as they are audited.
const (
	exemptByWish    = ", without the password policy"
	exemptByMounted = ", without the machine's own password rules"
)

// callJudge makes ready what judges the new passwords. Rules that are there and
// cannot be asked, on a mounted system, are an exemption that goes on record.
func (r *errand) callJudge() (err error) {
	r.rules = policy.RulesOf(r.engine.Config.Password)
	if r.judge, err = policy.NewJudge(r.app.root); err != nil {
		return err
	}
	if r.judge.Skipped {
		r.verb.name += exemptByMounted
		r.origin.Verb = r.verb.name
	}
	return nil
}

func (r *errand) dismissJudge() {
	if r.judge != nil {
		_ = r.judge.Close() // a folder that stays in /run goes with the boot
	}
}

// allowed judges a new password: by the configuration first, which costs nothing.
func (r *errand) allowed(j *job, token []byte) error {
	if !r.verb.judged {
		return nil
	}
	if err := r.rules.Check(token, j.before.Credential, j.before.memory.Record); err != nil {
		return err
	}
	return r.judge.Check(j.name, token)
}

// memories is what is on record of accounts, for the rule that no password comes back.
func (r *errand) memories(ctx context.Context, names []string) (map[string]shadowsync.AccountMemory, error) {
	all := map[string]shadowsync.AccountMemory{}
	if !r.verb.judged || r.engine.Config.Password.History == 0 {
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

// aged gives a new password the ageing that the configuration asks for.
func (w wish) aged(c config.Password) wish {
	set := func(field shadowsync.Fields, to *shadowsync.Day, days int) {
		if days > 0 {
			*to = shadowsync.Day(days)
			w.fields |= field
		}
	}
	set(shadowsync.FieldMin, &w.Min, c.MinDays)
	set(shadowsync.FieldMax, &w.Max, c.MaxDays)
	set(shadowsync.FieldWarn, &w.Warn, c.WarnDays)
	return w
}
