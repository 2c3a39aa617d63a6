package machine

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// sshArguments make ssh(1) try only a password, and only once.
func sshArguments(user string) []string {
	return []string{
		"ssh", "-F", "none", "-l", user,
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
		"-o", "PreferredAuthentications=password", "-o", "NumberOfPasswordPrompts=1", "-o", "ConnectTimeout=10",
	}
}

// AddUser adds a user with a home, bash and a password. The password goes directly into the account
// files, not through PAM: it may be weak, and PAM modules do not see it.
func (m *Machine) AddUser(ctx context.Context, name, password string) error {
	add := Command{Args: []string{"useradd", "--create-home", "--shell", "/bin/bash", name}}
	set := Command{Args: []string{"chpasswd", "--crypt-method", "SHA512"}, Input: name + ":" + password + "\n"}
	for _, command := range []Command{add, set} {
		if _, err := m.do(ctx, command); err != nil {
			return fmt.Errorf("cannot add user %s: %w", name, err)
		}
	}
	return nil
}

// refusals are the messages of ssh(1) and sshd(8) when the account or its password prevents the
// login.
var refusals = []string{
	"Permission denied",                      // wrong, locked
	"Connection closed by 127.0.0.1 port 22", // account expired: PAM's account phase ends the connection
	"password has expired",                   // must change, but there is no terminal
}

// isRefusal does not count a connection that the server closed before any authentication.
func isRefusal(said string) bool {
	return !strings.Contains(said, "kex_exchange_identification") &&
		slices.ContainsFunc(refusals, func(refusal string) bool { return strings.Contains(said, refusal) })
}

// Login reports whether the password opens a real ssh login to the machine. A failure other than a
// refusal is an error, not a "no". A refusal takes about two seconds, which is PAM's delay.
func (m *Machine) Login(ctx context.Context, user, password string) (bool, error) {
	args := slices.Concat([]string{"sshpass", "-e"}, sshArguments(user), []string{"127.0.0.1", "true"})
	var result Result
	for range 3 { // a change of the password that is worked on late ends this session, too
		var err error
		result, err = m.Exec(ctx, Command{Args: args, Env: []string{"SSHPASS=" + password}})
		if err != nil {
			return false, fmt.Errorf("cannot try a login: %w", err)
		}
		if !strings.Contains(result.Stderr, "closed by remote host") {
			break
		}
	}
	if result.Code == 0 {
		return true, nil
	}
	if isRefusal(result.Stderr) {
		return false, nil
	}
	return false, fmt.Errorf("cannot try a login as %s: %s", user, result)
}

// SSH opens an interactive login on a terminal: a shell, or args run by one. It returns once it has
// typed the password; Await shows sshd's answer.
func (m *Machine) SSH(ctx context.Context, user, password string, args ...string) (*Terminal, error) {
	quiet := []string{"-tt", "-o", "LogLevel=ERROR", "127.0.0.1"}
	terminal, err := m.Terminal(Command{Args: slices.Concat(sshArguments(user), quiet, args)})
	if err != nil {
		return nil, err
	}
	if err = terminal.Await(ctx, "password: "); err == nil {
		err = terminal.Send(password + "\n")
	}
	if err != nil {
		_ = terminal.Close()
		return nil, fmt.Errorf("cannot log in as %s: %w", user, err)
	}
	return terminal, nil
}
