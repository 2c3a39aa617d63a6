package broker

import (
	"fmt"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/printable"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// Message is what passwd prints about a change, before its own line.
func Message(a config.Application, o shadowsync.Outcome, guarded bool) string {
	account, reason := printable.Quote(o.Account), printable.Quote(o.Reason)
	switch {
	case o.State == shadowsync.InSync && o.Verdict == shadowsync.VerdictApply:
		return fmt.Sprintf("shadowsync: %s: NOT kept (the rule for this account prefers %s's credential store)", account, a.Name)
	case o.State == shadowsync.InSync:
		return fmt.Sprintf("shadowsync: %s: persisted in %s's credential store", account, a.Name)
	case o.State == shadowsync.Queued:
		return queued(account, a.Unit)
	case o.Verdict == shadowsync.VerdictRefused:
		return fmt.Sprintf("shadowsync: %s: NOT persisted (%s refuses it: %s); choose another password", account, a.Name, reason)
	case o.State == shadowsync.Pending && guarded:
		return fmt.Sprintf("shadowsync: %s: NOT persisted (%s); restart of %s is held until it is", account, reason, a.Unit)
	case o.State == shadowsync.Pending:
		return fmt.Sprintf("shadowsync: %s: NOT persisted (%s); it is as soon as the store takes it", account, reason)
	}
	return fmt.Sprintf("shadowsync: %s: NOT persisted (%s: %s); run shadowsync status", account, o.State, reason)
}

// elsewhere is what is said of an account that a configuration names and shadow(5) does not.
func elsewhere(account string) string {
	return fmt.Sprintf("shadowsync: %s: NOT persisted (its password is not in /etc/shadow); run shadowsync status", printable.Quote(account))
}

func queued(account, unit string) string {
	return fmt.Sprintf("shadowsync: %s: queued (shadowsync did not answer in time); it is persisted before the next start of %s", account, unit)
}
