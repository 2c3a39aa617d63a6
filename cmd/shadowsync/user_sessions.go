package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/shadowsync/shadowsync/internal/account/sessions"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/detect/origin"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/term/plural"
	"github.com/shadowsync/shadowsync/internal/term/printable"
	"github.com/shadowsync/shadowsync/shadowsync"
)

var (
	errMountedSessions = errors.New("nobody is logged in to a mounted system")
	errSurvivors       = errors.New("sessions survived")
)

func newUserSessions(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "sessions NAME",
		Short: "List an account's sessions, and the ways in that need no password",
		Long: "Lists what an account has open: logins, su shells in somebody else's session, what\n" +
			"was left behind in tmux, its lingering services; and the ways in that no password\n" +
			"closes: authorized_keys, cron, at, linger. Background sessions (jobs of cron and at,\n" +
			"commands that su runs without a terminal) are listed with what started them. No\n" +
			"password opened them: they are left alone.",
		Args: exactly(1), ValidArgsFunction: a.completeAccounts(1),
		RunE: func(c *cobra.Command, names []string) error { return runUserSessions(c.Context(), a, names[0]) },
	}
}

func newUserLogout(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "logout NAME", Aliases: []string{"disconnect"},
		Short: "End every session of an account, and look again",
		Long: "Ends all that sessions lists, looks again and names what survived; in that case it exits with\n" +
			"1. The session that the command itself was typed in stays.",
		Args: exactly(1), ValidArgsFunction: a.completeAccounts(1),
		RunE: func(c *cobra.Command, names []string) error { return runUserLogout(c.Context(), a, names[0]) },
	}
}

// sessionsResult is the object that sessions and logout print with --json.
type sessionsResult struct {
	Name      string               `json:"name"`
	Sessions  []shadowsync.Session `json:"sessions"`             // open now
	Ended     []shadowsync.Session `json:"ended,omitempty"`      // ended by logout
	Survivors []shadowsync.Session `json:"survivors,omitempty"`  // survived logout
	LeftAlone []sessions.LeftAlone `json:"left_alone,omitempty"` // background sessions, which nothing ends
	Doors     []sessions.Door      `json:"doors"`
}

func runUserSessions(ctx context.Context, a *app, name string) error {
	return a.withAccount(ctx, "", name, func(_ *engine.Engine, account shadowsync.Account) error {
		r := sessionsResult{Name: name, Sessions: []shadowsync.Session{}}
		list, err := sessions.Sessions{}.List(ctx, account)
		if err != nil {
			return err
		}
		r.Sessions = append(r.Sessions, list...)
		if r.LeftAlone, err = (sessions.Sessions{}).ListLeftAlone(ctx, account); err != nil {
			return err
		}
		if r.Doors, err = a.doors(account); err != nil {
			return err
		}
		if a.json {
			return a.printJSON(r)
		}
		for _, s := range r.Sessions {
			a.tell("%s", sessionText(s))
		}
		if len(r.Sessions) == 0 {
			a.tell("%s has no session", name)
		}
		a.sayOpen(r)
		return nil
	})
}

func runUserLogout(ctx context.Context, a *app, name string) error {
	return a.withAccount(ctx, "logout", name, func(e *engine.Engine, account shadowsync.Account) error {
		stop := a.progress("Ending the sessions of " + name)
		ended, left, err := sessions.Sessions{}.EndBut(ctx, account, sessions.Keep{Process: origin.FromPID(os.Getpid())})
		stop()
		application, _ := e.Config.Managing(name)
		event := shadowsync.Event{
			Application: application.Name, Account: name, Action: "logged-out",
			Reason: shadowsync.LogoutReason(len(ended), len(left)),
		}
		err = a.record(ctx, e, "logout", event, err)
		doors, doorsErr := a.doors(account)
		alone, aloneErr := sessions.Sessions{}.ListLeftAlone(ctx, account)
		r := sessionsResult{Name: name, Sessions: []shadowsync.Session{}, Ended: ended, Survivors: left, LeftAlone: alone, Doors: doors}
		r.Sessions = append(r.Sessions, left...)
		return errors.Join(err, doorsErr, aloneErr, a.showLogout(r))
	})
}

func (a *app) showLogout(r sessionsResult) error {
	if len(r.Survivors) > 0 && !a.json {
		for _, s := range r.Survivors {
			a.complaint("%s", survivor(r.Name, s))
		}
	}
	var err error
	if a.json {
		err = a.printJSON(r)
	} else {
		for _, s := range r.Ended {
			a.tell("ended %s", sessionText(s))
		}
		a.tell("%s of user `%s` ended, %d survived", plural.Count(len(r.Ended), "session"), r.Name, len(r.Survivors))
		a.sayOpen(r)
	}
	if len(r.Survivors) > 0 {
		err = errors.Join(err, told(errSurvivors))
	}
	return err
}

// withAccount opens the engine for one managed account of the running system. If the name is
// unknown it audits the attempt, unless verb is empty because the command only shows something.
func (a *app) withAccount(ctx context.Context, verb, name string, do func(*engine.Engine, shadowsync.Account) error) error {
	if a.mounted() {
		return fmt.Errorf("cannot look at sessions: %w", errMountedSessions)
	}
	return a.with(ctx, func(e *engine.Engine) error {
		account, err := presentOS(ctx, e, name)
		switch {
		case err == nil:
			return do(e, account)
		case verb == "":
			return err
		}
		return a.record(ctx, e, verb, shadowsync.Event{Account: printable.Clip(name, 256)}, err)
	})
}

func presentOS(ctx context.Context, e *engine.Engine, name string) (shadowsync.Account, error) {
	if _, ok := e.Config.Managing(name); !ok {
		return shadowsync.Account{}, &config.UnmanagedError{Account: name}
	}
	snapshot, err := e.Accounts.Read(ctx, []string{name})
	if err != nil {
		return shadowsync.Account{}, err
	}
	account, ok := snapshot.Accounts[name]
	if !ok {
		return account, fmt.Errorf("cannot find %s: the OS has %w", name, shadowsync.ErrNoAccount)
	}
	return account, nil
}

// doors lists the ways to log in that a new password does not close.
func (a *app) doors(account shadowsync.Account) ([]sessions.Door, error) {
	home, err := homeOf(a.root, account.Name)
	if err != nil {
		return nil, err
	}
	doors, err := sessions.Doors(a.root, account.Name, account.UID, home)
	return append([]sessions.Door{}, doors...), err
}

// sayOpen reports what stays: background sessions, and logins that need no password.
func (a *app) sayOpen(r sessionsResult) {
	for _, l := range r.LeftAlone {
		a.tell("%s: %s", r.Name, oneLine(l.Text()))
	}
	for _, d := range r.Doors {
		a.tell("%s: %s", r.Name, d.Text)
	}
}

// homeOf is the sixth field of the account's line in passwd(5).
func homeOf(root, name string) (string, error) {
	text, err := inroot.ReadFile(root, "etc/passwd")
	if err != nil {
		return "", fmt.Errorf("cannot find the home of %s: %w", name, err)
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Split(strings.TrimSpace(line), ":"); len(fields) == 7 && fields[0] == name {
			return fields[5], nil
		}
	}
	return "", fmt.Errorf("cannot find the home of %s: %w", name, shadowsync.ErrNoAccount)
}
