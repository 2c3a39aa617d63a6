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

// callJudge makes ready what judges the new passwords, early: it loads its modules
// while the accounts are looked at. Rules that are there and cannot be asked, on a
// mounted system, are an exemption that goes on record.
func (v *verb) callJudge(root string) (err error) {
	if v.judge, err = policy.NewJudge(root); err != nil {
		return err
	}
	if v.judge.Skipped {
		v.name += exemptByMounted
	}
	return nil
}

func (v *verb) dismissJudge() {
	if v.judge != nil {
		_ = v.judge.Close() // a folder that stays in /run goes with the boot
	}
}

// allowed judges a new password: by the configuration first, which costs nothing.
func (r *errand) allowed(j *job, token []byte) error {
	if r.verb.judge == nil {
		return nil
	}
	if err := r.rules.Check(token, j.before.Credential, j.before.memory.Record); err != nil {
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
