package pcli

import (
	"context"
	"os"

	"github.com/shadowsync/shadowsync/internal/term/printable"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/pcli/grammar"
)

// menu is the menu of edit user without an attribute. Each line in it takes effect at once.
type menu struct {
	name string
	set  *grammar.Set
}

// editUser changes the given attributes; without any it opens the menu.
func (s *Shell) editUser(c grammar.Call) error {
	name := c.Get("NAME")
	if name == "" {
		name = s.hello.User
	}
	edits := editsOf(c)
	if len(edits) == 0 {
		return s.openMenu(name)
	}
	for _, e := range edits {
		if err := s.edit(name, e); err != nil {
			return err
		}
	}
	return nil
}

// openMenu first checks that the account exists.
func (s *Shell) openMenu(name string) error {
	if _, err := s.users(name); err != nil {
		return err
	}
	s.menu = &menu{name: name, set: menuSet}
	return nil
}

// fields are the attributes in the order in which one command applies them.
var fields = []operator.Field{
	operator.FieldFullName, operator.FieldRole, operator.FieldShell, operator.FieldPassword, operator.FieldEnabled,
}

func editsOf(c grammar.Call) []operator.Edit {
	var edits []operator.Edit
	for _, f := range fields {
		if c.Has(string(f)) {
			edits = append(edits, operator.Edit{Field: f, Value: c.Get(string(f))})
		}
	}
	return edits
}

// editField runs a line of the menu.
func editField(field operator.Field) func(*Shell, grammar.Call) error {
	return func(s *Shell, c grammar.Call) error {
		return s.edit(s.menu.name, operator.Edit{Field: field, Value: c.Get("VALUE")})
	}
}

func (s *Shell) edit(name string, e operator.Edit) error {
	var password *os.File
	if e.Field == operator.FieldPassword {
		e.Value = ""
		failed := 0
		var err error
		if password, err = s.newPassword("Password: ", "Confirm: ", &failed); err != nil {
			return err
		}
		defer password.Close()
	}
	result, err := change(s, func(ctx context.Context) (operator.Result, error) {
		return s.client.EditUser(ctx, name, e, password)
	})
	if err != nil {
		return err
	}
	s.say("Account '%s' updated successfully", name)
	s.notes(result.Notes)
	return nil
}

func (s *Shell) showEdited(grammar.Call) error { return s.showAccount(s.menu.name) }

func (s *Shell) leaveMenu(grammar.Call) error {
	s.menu = nil
	return nil
}

// shown is foreign text, shortened for a question.
func shown(text string) string { return printable.Clip(text, 64) }
