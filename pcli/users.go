package pcli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/shadowsync/shadowsync/internal/term/plural"
	"github.com/shadowsync/shadowsync/internal/term/printable"
	"github.com/shadowsync/shadowsync/internal/term/table"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/pcli/console"
	"github.com/shadowsync/shadowsync/pcli/grammar"
)

// createUser asks for an account's attributes and creates it.
func (s *Shell) createUser(c grammar.Call) error {
	u := operator.NewUser{Name: c.Get("NAME"), TakeHome: c.Has("take-home"), Application: c.Get("application")}
	var err error
	if u.Name == "" {
		if u.Name, err = s.answer("Username: ", "", nil); err != nil {
			return err
		}
	}
	if _, err := ask(s, func(ctx context.Context) (operator.Result, error) { return s.client.CheckUser(ctx, u) }); err != nil {
		return err // before anybody has answered questions in vain
	}
	s.say("Creating account '%s'...", u.Name)
	if u.FullName, err = s.console.Ask("Full Name: "); err != nil {
		return err
	}
	failed := 0
	password, err := s.newPassword("Password: ", "Confirm: ", &failed)
	if err != nil {
		return err
	}
	defer func() { _ = password.Close() }()
	if err := s.askRights(&u); err != nil {
		return err
	}
	for {
		result, err := s.create(u, password)
		if err == nil {
			s.say("Account '%s' successfully created", u.Name)
			s.notes(result.Notes)
			return nil
		}
		if failed++; !refusedPassword(err) || failed >= tries {
			return err
		}
		s.say("%% Error: %s", err)
		next, err := s.newPassword("Password: ", "Confirm: ", &failed)
		if err != nil {
			return err
		}
		_ = password.Close()
		password = next
	}
}

func refusedPassword(err error) bool {
	var refusal *operator.Error
	return errors.As(err, &refusal) && refusal.Kind == operator.Policy
}

func (s *Shell) askRights(u *operator.NewUser) error {
	role, err := s.answer("Role (user | admin) [user]: ", string(operator.RoleUser), []string{"user", "admin"})
	if err != nil {
		return err
	}
	enabled, err := s.answer("Enabled (true or false) [true]: ", "true", []string{"true", "false"})
	u.Role, u.Enabled = operator.Role(role), enabled == "true"
	return err
}

func (s *Shell) create(u operator.NewUser, password *os.File) (operator.Result, error) {
	return change(s, func(ctx context.Context) (operator.Result, error) { return s.client.CreateUser(ctx, u, password) })
}

// answer asks until the answer is one of the choices, if there are any. An empty answer means the
// default.
func (s *Shell) answer(prompt, otherwise string, choices []string) (string, error) {
	for {
		text, err := s.console.Ask(prompt)
		if err != nil {
			return "", err
		}
		if text = strings.TrimSpace(text); text == "" {
			text = otherwise
		}
		switch {
		case text == "":
			s.say("%% Error: an answer is needed; Ctrl-C cancels")
		case choices != nil && !slices.Contains(choices, text):
			s.say("%% Error: '%s' is not one of %s", text, strings.Join(choices, ", "))
		default:
			return text, nil
		}
	}
}

// confirm says what would be destroyed, if that needs saying, and asks, unless force is given.
func (s *Shell) confirm(c grammar.Call, what []string, question string) error {
	if c.Has("force") {
		return nil
	}
	for i, line := range what {
		what[i] = table.Wrap(printable.Quote(line), s.console.Width(), "") + "\n"
	}
	err := s.console.Explain(strings.Join(what, ""))
	text := ""
	if err == nil {
		text, err = s.console.Ask(question + " [y/N]: ")
	}
	switch {
	case errors.Is(err, console.ErrNoTerminal):
		return errForce
	case err != nil:
		return err
	}
	if text = strings.ToLower(strings.TrimSpace(text)); text == "y" || text == "yes" {
		return nil
	}
	return errDeclined
}

func (s *Shell) deleteUser(c grammar.Call) error {
	d := operator.Deletion{RemoveHome: c.Has("remove-home")}
	var what []string
	if !c.Has("force") {
		users, err := s.users(c.Get("NAME"))
		if err != nil {
			return err
		}
		for _, u := range users {
			what = goes(u, d)
		}
	}
	if err := s.confirm(c, what, fmt.Sprintf("Delete account '%s'?", shown(c.Get("NAME")))); err != nil {
		return err
	}
	remove := func(ctx context.Context, name string) (operator.Result, error) {
		return s.client.DeleteUser(ctx, name, d)
	}
	return s.changed(c, remove, "Account '%s' successfully deleted")
}

// goes says what the deletion of an account takes with it, and what stays.
func goes(u operator.User, d operator.Deletion) []string {
	person := u.Name
	if u.FullName != "" {
		person += " (" + u.FullName + ")"
	}
	lines := []string{
		"This deletes " + person + " on this machine and in " + u.Application + ":",
		"the password and its history, crontab and at jobs. " + plural.Count(u.Sessions, "session") + " will end.",
	}
	if d.RemoveHome {
		return append(lines, "The home "+u.Home+" with everything in it and the mail are deleted, too.")
	}
	return append(lines, "The home "+u.Home+" stays ('delete user "+u.Name+" remove-home' deletes it).")
}

func (s *Shell) lockUser(c grammar.Call) error {
	return s.changed(c, s.client.Lock, "Account '%s' successfully locked")
}

func (s *Shell) unlockUser(c grammar.Call) error {
	return s.changed(c, s.client.Unlock, "Account '%s' successfully unlocked")
}

func (s *Shell) expirePassword(c grammar.Call) error {
	return s.changed(c, s.client.ExpirePassword, "Password of account '%s' successfully expired: the next login must set a new one")
}

// changed makes a change to one account and reports success.
func (s *Shell) changed(c grammar.Call, f func(context.Context, string) (operator.Result, error), done string) error {
	name := c.Get("NAME")
	result, err := change(s, func(ctx context.Context) (operator.Result, error) { return f(ctx, name) })
	if err != nil {
		return err
	}
	s.say(done, name)
	s.notes(result.Notes)
	return nil
}

// disconnectUser ends sessions and reports which ended and which remain.
func (s *Shell) disconnectUser(c grammar.Call) error {
	name := c.Get("NAME")
	if err := s.confirm(c, nil, fmt.Sprintf("Disconnect all sessions of '%s'?", shown(name))); err != nil {
		return err
	}
	ended, err := change(s, func(ctx context.Context) (operator.Ended, error) { return s.client.Disconnect(ctx, name) })
	if err != nil {
		return err
	}
	s.say("%s of '%s' ended", plural.Count(len(ended.Ended), "session"), name)
	s.notes(ended.Doors)
	if len(ended.Survivors) == 0 {
		return nil
	}
	_ = s.page(sessionColumns, sessionRows(ended.Survivors))
	return fmt.Errorf("%s of '%s' did not end", plural.Count(len(ended.Survivors), "session"), name)
}
