package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/shadowsync/shadowsync/internal/account/sessions"
	"github.com/shadowsync/shadowsync/internal/account/shadowfile"
	"github.com/shadowsync/shadowsync/internal/broker/limit"
	"github.com/shadowsync/shadowsync/internal/detect/origin"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/password/cleartext"
	"github.com/shadowsync/shadowsync/internal/term/printable"
	"github.com/shadowsync/shadowsync/shadowsync"
)

type resetFactorOptions struct {
	realm   factor.Realm // empty: both
	targets targetSource
	all     bool
	clock   bool
}

func newReset2FA(a *app) *cobra.Command {
	var o resetFactorOptions
	c := &cobra.Command{
		Use:   "2fa {local|ldap} {NAME... | --from FILE | --all}",
		Short: "Drop a second factor that was lost, and print an enrolment code",
		Long: "Drops the secret, the recovery codes and an enrolment that was begun, ends the account's\n" +
			"sessions, and prints a code, once, with which the account is enrolled anew: for a day, or\n" +
			"until a reboot. The password and the mail address stay. An account is local if it is in\n" +
			"/etc/shadow; ldap resets what is kept of an account of the directory. --all needs no\n" +
			"realm, and no key, so it is the way on when the key of the second factors is lost.\n" +
			"--clock drops nothing: it makes codes valid again that are refused because one of a later\n" +
			"time was taken while the clock was ahead. With it, the realm may be left out.",
		Example: "  shadowsync user reset 2fa local admin\n  shadowsync user reset 2fa --clock --all",
		Args:    cobra.ArbitraryArgs, ValidArgsFunction: a.completeFactors,
		RunE: func(c *cobra.Command, given []string) error {
			if err := o.read(given); err != nil {
				return usageError(c, err)
			}
			return runReset2FA(c.Context(), a, o)
		},
	}
	c.Flags().BoolVar(&o.all, "all", false, "every account of the realm, or of both realms")
	c.Flags().BoolVar(&o.clock, "clock", false, "only make codes of the present time valid again")
	o.targets.addFlag(c, "names, one a line,")
	return c
}

// completeFactors offers the realms, then accounts.
func (a *app) completeFactors(c *cobra.Command, given []string, begun string) ([]string, cobra.ShellCompDirective) {
	if len(given) == 0 {
		return []string{string(factor.Local), string(factor.LDAP)}, cobra.ShellCompDirectiveNoFileComp
	}
	return a.completeAccounts(0)(c, given, begun)
}

// read splits the operands into the realm and the names.
func (o *resetFactorOptions) read(given []string) error {
	if len(given) > 0 {
		realm, err := factor.ParseRealm(given[0])
		switch {
		case err == nil:
			o.realm, given = realm, given[1:]
		case !o.clock && !quotable(given[0]):
			return errors.New("a realm comes first: local or ldap")
		case !o.clock:
			return err
		}
	}
	o.targets.names = given
	switch {
	case o.all && (len(given) > 0 || o.targets.bulk()):
		return errors.New("with --all, no account is named")
	case o.realm == "" && !o.all && !o.clock:
		return errors.New("a realm is missing: local or ldap")
	case !o.all:
		return o.targets.check()
	}
	return nil
}

func runReset2FA(ctx context.Context, a *app, o resetFactorOptions) error {
	_ = cleartext.Harden() // recovering a lost factor must work in a container, too
	return a.with(ctx, func(e *engine.Engine) error {
		r := &factorResets{
			app: a, engine: e, Factors: e.Factors(&limit.Guesses{}), options: o, by: ourselves(e), managed: map[string]bool{},
			output: resetOutput{Verb: "reset 2fa", Accounts: []factorResult{}},
		}
		r.by.Verb = r.output.Verb
		if o.clock {
			r.output.Verb += " --clock"
			r.by.Verb = r.output.Verb
		}
		subjects, err := r.subjects(ctx)
		if err != nil {
			return err
		}
		survivePipe()
		for _, s := range subjects {
			if err := ctx.Err(); err != nil {
				r.errs = append(r.errs, err)
				break
			}
			r.one(context.WithoutCancel(ctx), s)
		}
		return r.finish(context.WithoutCancel(ctx))
	})
}

// resetOutput is the object that reset 2fa prints with --json.
type resetOutput struct {
	Verb     string         `json:"verb"`
	Accounts []factorResult `json:"accounts"`
}

// factorResets resets the factors of several accounts.
type factorResets struct {
	*factor.Factors
	app       *app
	engine    *engine.Engine
	options   resetFactorOptions
	by        shadowsync.Origin
	managed   map[string]bool  // applications of accounts whose sessions must end
	strangers []factor.Subject // accounts without an application whose sessions must end
	output    resetOutput
	errs      []error
}

// subjects lists whose factors to reset. Names that nobody has are refused one by one.
func (r *factorResets) subjects(ctx context.Context) ([]factor.Subject, error) {
	kept, err := r.Store.Factors(ctx)
	if err != nil {
		return nil, err
	}
	o := r.options
	var list []factor.Subject
	if o.all {
		for _, k := range kept {
			if (o.realm == "" || o.realm == k.Realm) && (k.State != factor.None || k.Ticket != nil) {
				list = append(list, k.Subject)
			}
		}
		return list, nil
	}
	targets, _, err := r.app.targets(ctx, o.targets, false)
	for _, t := range targets {
		realm := o.realm
		if realm == "" {
			realm = factor.Local
			if slices.ContainsFunc(kept, func(k factor.Record) bool { return k.Subject == factor.Subject{Realm: factor.LDAP, Account: t.Name} }) {
				realm = factor.LDAP
			}
		}
		if s := (factor.Subject{Realm: realm, Account: t.Name}); !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list, err
}

// one resets one factor, and reports it at once: a killed command has told what it did.
func (r *factorResets) one(ctx context.Context, s factor.Subject) {
	err := r.app.room(recoveryRoom)
	if err == nil {
		err = r.known(ctx, s)
	}
	said, code := "", ""
	switch {
	case err != nil:
	case r.options.clock:
		said, err = r.lower(ctx, s)
	default:
		said, code, err = r.reset(ctx, s)
	}
	if errors.Is(err, factor.ErrNotEnrolled) {
		said, err = fmt.Sprintf("User `%s` has no second factor: nothing was reset", s.Account), nil
	}
	if err != nil {
		err = &factorError{doing: "cannot reset the second factor of", subject: s, err: err}
		application, _ := r.engine.Config.Managing(s.Account)
		r.errs = append(r.errs, r.app.record(ctx, r.engine, r.by.Verb, shadowsync.Event{Application: application.Name, Account: printable.Clip(s.Account, 256)}, err))
	}
	r.report(ctx, s, said, code, err)
}

// known refuses an account that nobody has. What is kept of one that is gone can still be reset.
func (r *factorResets) known(ctx context.Context, s factor.Subject) error {
	kept, err := r.Of(ctx, s)
	if err != nil || kept.Generation > 0 {
		return err
	}
	present, err := r.engine.Accounts.Read(ctx, []string{s.Account})
	if err != nil {
		return err
	}
	_, local := present.Accounts[s.Account]
	switch {
	case local && s.Realm == factor.Local:
		return nil
	case local:
		return fmt.Errorf("it is a local account, not one of the directory: %w", shadowsync.ErrNoAccount)
	case s.Realm == factor.Local:
		return noAccount(s.Account)
	}
	_, err = r.app.lookUp(ctx, s.Account)
	return err
}

// reset resets a factor, and arranges that the account's sessions end.
func (r *factorResets) reset(ctx context.Context, s factor.Subject) (said, code string, err error) {
	if gone, err := r.gone(ctx, s); gone || err != nil {
		if err == nil {
			err = r.Drop(ctx, s, r.by)
		}
		return fmt.Sprintf("User `%s` is gone, and so is its second factor now", s.Account), "", err
	}
	logout := r.engine.FactorLogout(s, r.by)
	if code, err = r.Reset(ctx, s, logout, r.by); err != nil {
		return "", "", err
	}
	if logout != nil {
		r.managed[logout.Application] = true
	} else {
		r.strangers = append(r.strangers, s)
	}
	return factorReset(s.Account, code), code, nil
}

// gone reports whether a local account is gone with its uid. One that was renamed still has that, and must
// enrol anew.
func (r *factorResets) gone(ctx context.Context, s factor.Subject) (bool, error) {
	people, err := shadowfile.People(ctx, r.app.root)
	if _, there := people[s.Account]; err != nil || there || s.Realm != factor.Local {
		return false, err
	}
	kept, err := r.Of(ctx, s)
	for _, p := range people {
		if kept.UID == nil || p.UID == *kept.UID {
			return false, err
		}
	}
	return true, err
}

// factorReset is the line with the enrolment code, which is shown once.
func factorReset(name, code string) string {
	return fmt.Sprintf("Second factor of user `%s` reset; enrolment code `%s`", name, code)
}

func (r *factorResets) lower(ctx context.Context, s factor.Subject) (said string, err error) {
	lowered, err := r.LowerFloor(ctx, s, r.by)
	if err == nil && !lowered {
		return fmt.Sprintf("No code of a later time was taken of user `%s`: nothing was reset", s.Account), nil
	}
	return fmt.Sprintf("Codes of user `%s` are valid again from now on", s.Account), err
}

// report prints one result. An enrolment code is the requested output, which --quiet does not suppress.
func (r *factorResets) report(ctx context.Context, s factor.Subject, said, code string, err error) {
	switch {
	case r.app.json:
		kept, _ := r.Of(ctx, s) // its error was reported before
		result := resultOf(kept)
		result.Name, result.Realm, result.EnrolmentCode = s.Account, s.Realm, code
		if err != nil {
			said = err.Error()
		}
		if code == "" {
			result.Reason = &said
		}
		r.output.Accounts = append(r.output.Accounts, result)
	case err != nil:
	case code == "":
		r.app.say("%s", said)
	default:
		if _, err := fmt.Fprintln(r.app.out, oneLine(said)); err != nil {
			r.errs = append(r.errs, fmt.Errorf("cannot show the enrolment code of %s: %w", s.Account, err))
		}
	}
}

// finish ends the sessions of the accounts whose factor was reset.
func (r *factorResets) finish(ctx context.Context) error {
	if r.app.json {
		r.errs = append(r.errs, r.app.printJSON(r.output))
	}
	for _, application := range r.engine.Config.Applications {
		if r.managed[application.Name] {
			r.errs = append(r.errs, r.app.endSessions(ctx, r.engine, application))
		}
	}
	for _, s := range r.strangers {
		r.errs = append(r.errs, r.logOut(ctx, s))
	}
	return errors.Join(r.errs...)
}

// logOut ends the sessions of an account that no application manages.
func (r *factorResets) logOut(ctx context.Context, s factor.Subject) error {
	if r.app.mounted() {
		return nil
	}
	present, err := r.engine.Accounts.Read(ctx, []string{s.Account})
	if err != nil {
		return err
	}
	account, local := present.Accounts[s.Account]
	if !local {
		person, err := r.app.lookUp(ctx, s.Account)
		if errors.Is(err, shadowsync.ErrNoAccount) { // gone, and only its factor was left
			return nil
		}
		if err != nil {
			return err
		}
		account = person.Account()
	}
	ended, left, err := sessions.Sessions{}.EndBut(ctx, account, sessions.Keep{Process: origin.FromPID(os.Getpid())})
	for _, survived := range left {
		fmt.Fprintf(r.app.err, "shadowsync: %s\n", oneLine(survivor(s.Account, survived)))
	}
	event := shadowsync.Event{Account: s.Account, Action: "logged-out", Reason: shadowsync.LogoutReason(len(ended), len(left))}
	return r.app.record(ctx, r.engine, r.by.Verb, event, err)
}
