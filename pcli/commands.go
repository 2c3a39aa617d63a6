package pcli

import (
	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/pcli/grammar"
)

// command is one line of the table: how to type it, and what it does.
type command struct {
	grammar.Command
	run func(*Shell, grammar.Call) error
}

// Parameters that several commands share.
var (
	someone  = grammar.Param{Name: "NAME", Kind: grammar.Account, Required: true, Help: "the account"}
	anyone   = grammar.Param{Name: "NAME", Kind: grammar.Account, Group: "who", Help: "the account; your own if left out"}
	everyone = grammar.Param{Word: "all", Group: "who", Help: "every account"}
	force    = grammar.Param{Word: "force", Help: "do not ask first"}

	enabled  = grammar.Param{Name: "VALUE", Kind: grammar.Choice, Choices: []string{"true", "false"}, Required: true, Help: "whether the account may log in"}
	role     = grammar.Param{Name: "VALUE", Kind: grammar.Choice, Choices: []string{"user", "admin"}, Required: true, Help: "what the account may do in this shell"}
	fullName = grammar.Param{Name: "VALUE", Kind: grammar.Rest, Required: true, Help: "the name of the person"}
	shell    = grammar.Param{Name: "VALUE", Kind: grammar.Text, Required: true, Help: "the login shell, one that the configuration allows"}
)

// attribute turns the value of a menu line into an optional keyword parameter.
func attribute(word, name string, p grammar.Param) grammar.Param {
	p.Word, p.Name, p.Required = word, name, false
	if p.Kind == grammar.Rest {
		p.Kind = grammar.Text
	}
	return p
}

// commands is the table of the shell. Help, completion, the man page and the commands of each role
// come from it.
var commands []command

// menuCommands is the table for the menu of edit user.
var menuCommands []command

var (
	commandSet, menuSet *grammar.Set
	groups              = map[string]string{
		"check":      "Try a code of your own second factor",
		"clear":      "Clear the history of this shell",
		"create":     "Create an account",
		"delete":     "Delete an account",
		"disconnect": "End the sessions of an account",
		"edit":       "Change an account",
		"enrol":      "Enrol your own second factor",
		"expire":     "Expire the password of an account",
		"lock":       "Lock an account",
		"logout":     "End the sessions of an account",
		"renew":      "Make new recovery codes of your own",
		"reset":      "Reset the second factor of an account",
		"set":        "Change your own password or mail address",
		"show":       "Show information; 'show ?' lists what there is",
		"unlock":     "Unlock an account",
	}
)

// The tables and their functions refer to each other, which a variable initialiser must not do.
func init() {
	commands = append(append(changes(), shows()...), locals()...)
	menuCommands = menuTable()
	commandSet, menuSet = setOf(commands), setOf(menuCommands)
}

func setOf(table []command) *grammar.Set {
	var list []grammar.Command
	for _, c := range table {
		list = append(list, c.Command)
	}
	return grammar.New(list, groups)
}

func changes() []command { return append(append(ownChanges(), userChanges()...), factorChanges()...) }

func ownChanges() []command {
	return []command{
		{grammar.Command{
			Words: "set password", Needs: string(operator.OpSetPassword), Help: "Change your own password, and end all your sessions",
			More: "It asks for your current password and twice for the new one. The new password must pass the rules of this machine. " +
				"Your sessions then end, this one last. Nothing changes if you press Ctrl-C.",
		}, (*Shell).setPassword},
		{grammar.Command{
			Words: "set mail", Needs: string(operator.OpSetMail), Help: "Set your own mail address, for a lost second factor",
			More: "You need a second factor: it asks for your current password and for a code. Where mail is configured, what happens to your second " +
				"factor is told there, and who types 'lost' at the prompt for a code gets one by mail.",
			Params: []grammar.Param{
				{Name: "ADDRESS", Kind: grammar.Text, Group: "address", Required: true, Help: "the address, name@domain"},
				{Word: "none", Group: "address", Required: true, Help: "keep no address"},
			},
			See: []string{"enrol 2fa"},
		}, (*Shell).setMail},
	}
}

func factorChanges() []command {
	return []command{
		{grammar.Command{
			Words: "enrol 2fa", Needs: string(operator.OpEnrol2FA), Help: "Enrol a second factor, or another authenticator",
			More: "It asks for your current password, shows a setup key and a QR code for your app, and asks for a first code. Then it shows ten recovery " +
				"codes, once. From then on each new shell, 'set password', and what an administrator does to others ask for a code. Who has a second factor " +
				"moves to another authenticator with a code of the present one, or a recovery code. The present one works until a code of the other one was entered.",
			See: []string{"check 2fa", "renew 2fa codes", "show user"},
		}, (*Shell).enrol2FA},
		{grammar.Command{
			Words: "renew 2fa codes", Needs: string(operator.OpRenewCodes), Help: "Replace your recovery codes by ten new ones",
			More: "The app stays as it is. It asks for your current password and a code.",
			See:  []string{"enrol 2fa"},
		}, (*Shell).renewCodes},
		{grammar.Command{
			Words: "check 2fa", Needs: string(operator.OpCode), Help: "Try a code of your second factor, which is used up then",
			See: []string{"enrol 2fa"},
		}, (*Shell).check2FA},
		{grammar.Command{
			Words: "reset 2fa", Needs: string(operator.OpReset2FA), Help: "Drop the second factor of an account that lost it",
			More: "It asks for a code of your own second factor, ends the sessions of the account, and shows an enrolment code, once. With that, and within a " +
				"day, the account enrols anew.",
			Params: []grammar.Param{
				force,
				{Word: "local", Group: "realm", Help: "of a local account; so if left out"},
				{Word: "ldap", Group: "realm", Help: "of an account of a directory"},
				{Name: "NAME", Kind: grammar.Account, Help: "the account; your own if left out"},
			},
			See: []string{"enrol 2fa"},
		}, (*Shell).reset2FA},
	}
}

func userChanges() []command {
	return []command{
		{grammar.Command{
			Words: "create user", Needs: string(operator.OpCreateUser), Help: "Create an account; asks for its name, password and role",
			More: "It is refused if a home of that name exists. With take-home, the home of a former user becomes the folder home-before in the new " +
				"home, so that no key in it opens the account.",
			Params: []grammar.Param{
				{Name: "NAME", Kind: grammar.Text, Help: "the name of the new account; asked for if left out"},
				{Word: "application", Name: "APPLICATION", Kind: grammar.Text, Help: "the application that will manage it; your own if left out"},
				{Word: "take-home", Help: "keep the home that a former user of that name left"},
			},
			See: []string{"edit user", "delete user"},
		}, (*Shell).createUser},
		{grammar.Command{
			Words: "edit user", Needs: string(operator.OpEditUser), Help: "Change attributes of an account",
			More: "With attributes on the line, they are changed at once. Without, a menu opens in which each line changes one; exit leaves it.",
			Params: []grammar.Param{
				{Name: "NAME", Kind: grammar.Account, Help: "the account; your own if left out"},
				attribute("full-name", "TEXT", fullName), attribute("role", "ROLE", role), attribute("shell", "PATH", shell),
				{Word: "password", Help: "asks for a new password of the account"},
				attribute("enabled", "BOOL", enabled),
			},
			See: []string{"lock user", "set password", "show user"},
		}, (*Shell).editUser},
		{grammar.Command{
			Words: "delete user", Needs: string(operator.OpDeleteUser), Help: "Delete an account; its home stays",
			More:   "It says what will be deleted and asks. The home and the mail stay, unless remove-home is given; no other account gets the uid while the home is there.",
			Params: []grammar.Param{force, someone, {Word: "remove-home", Help: "delete the home and the mail, too"}}, See: []string{"lock user"},
		}, (*Shell).deleteUser},
		{grammar.Command{
			Words: "lock user", Needs: string(operator.OpLock), Help: "Lock an account: no password and no key opens it",
			Params: []grammar.Param{someone}, See: []string{"unlock user", "disconnect user"},
		}, (*Shell).lockUser},
		{grammar.Command{
			Words: "unlock user", Needs: string(operator.OpUnlock), Help: "Unlock an account and clear its count of failed logins",
			Params: []grammar.Param{someone}, See: []string{"lock user"},
		}, (*Shell).unlockUser},
		{grammar.Command{
			Words: "expire password", Needs: string(operator.OpExpirePassword), Help: "Make an account set a new password at its next login",
			Params: []grammar.Param{someone},
		}, (*Shell).expirePassword},
		{grammar.Command{
			Words: "disconnect user", Needs: string(operator.OpDisconnect), Help: "End all login sessions of an account",
			Params: []grammar.Param{force, someone}, See: []string{"show user sessions", "lock user"},
		}, (*Shell).disconnectUser},
		{grammar.Command{
			Words: "logout user", Needs: string(operator.OpDisconnect), Help: "The same as disconnect user",
			Params: []grammar.Param{force, someone}, See: []string{"disconnect user"},
		}, (*Shell).disconnectUser},
	}
}

func shows() []command {
	return []command{
		{grammar.Command{
			Words: "show user", Needs: string(operator.OpShowUser), Help: "Show an account, or a table of all",
			Params: []grammar.Param{anyone, everyone}, See: []string{"show sync"},
		}, (*Shell).showUser},
		{grammar.Command{
			Words: "show user sessions", Needs: string(operator.OpSessions), Help: "Show login sessions",
			Params: []grammar.Param{anyone, everyone}, See: []string{"disconnect user"},
		}, (*Shell).showSessions},
		{grammar.Command{
			Words: "show user activity", Needs: string(operator.OpActivity), Help: "Show what was changed, by whom and how, newest first",
			More: "A time is 2026-11-21, \"2026-11-21 10:00\", 10:00, yesterday, or how long ago: 45m, 1d, \"2 hours ago\".",
			Params: []grammar.Param{
				{Word: "from", Name: "T", Kind: grammar.Text, Help: "not before this time"},
				{Word: "to", Name: "T", Kind: grammar.Text, Help: "not after this time"},
				{Word: "rows", Name: "N", Kind: grammar.Number, Help: "at most so many; 50 if left out"},
				{Name: "NAME", Kind: grammar.Account, Help: "of this account alone"},
			},
		}, (*Shell).showActivity},
		{grammar.Command{
			Words: "show sync", Needs: string(operator.OpSync), Help: "Show whether the OS and the application agree",
			See: []string{"show user activity"},
		}, (*Shell).showSync},
	}
}

func locals() []command {
	return []command{
		{grammar.Command{
			Words: "show history", Help: "Show the lines typed in this shell", See: []string{"clear history"},
		}, (*Shell).showHistory},
		{grammar.Command{Words: "clear history", Help: "Forget the lines typed in this shell"}, (*Shell).clearHistory},
		{helpCommand, (*Shell).helpCommand},
		{grammar.Command{Words: "exit", Help: "Leave the shell"}, (*Shell).exit},
		{grammar.Command{Words: "quit", Help: "Leave the shell"}, (*Shell).exit},
	}
}

var helpCommand = grammar.Command{
	Words: "help", Help: "Show the commands, or how to use one",
	Params: []grammar.Param{{Name: "COMMAND", Kind: grammar.Rest, Help: "the words of a command"}},
}

func menuTable() []command {
	return []command{
		{grammar.Command{Words: "full-name", Help: "Change the name of the person", Params: []grammar.Param{fullName}}, editField(operator.FieldFullName)},
		{grammar.Command{Words: "role", Help: "Change what the account may do", Params: []grammar.Param{role}}, editField(operator.FieldRole)},
		{grammar.Command{Words: "shell", Help: "Change the login shell", Params: []grammar.Param{shell}}, editField(operator.FieldShell)},
		{grammar.Command{Words: "password", Help: "Set a new password; asks for it"}, editField(operator.FieldPassword)},
		{grammar.Command{Words: "enabled", Help: "Enable or disable the account", Params: []grammar.Param{enabled}}, editField(operator.FieldEnabled)},
		{grammar.Command{Words: "show", Help: "Show the account as it is now"}, (*Shell).showEdited},
		{helpCommand, (*Shell).helpCommand},
		{grammar.Command{Words: "exit", Help: "Leave the menu"}, (*Shell).leaveMenu},
		{grammar.Command{Words: "top", Help: "Leave the menu"}, (*Shell).leaveMenu},
		{grammar.Command{Words: "quit", Help: "Leave the shell"}, (*Shell).exit},
	}
}
