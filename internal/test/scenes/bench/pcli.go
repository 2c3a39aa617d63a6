package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// openSessions is how many other sessions a set password has to end.
const openSessions = 10

// operatorShell measures how long an operator waits for the prompt, for a completion among ten
// thousand accounts, and for the end of set password.
func operatorShell(ctx context.Context) error {
	heading("the operators' shell")
	program, err := buildProgram(ctx, "terminal")
	if err != nil {
		return err
	}
	defer os.RemoveAll(filepath.Dir(program))
	if err := prompts(ctx, program); err != nil {
		return err
	}
	return setPasswords(ctx, program)
}

// prompts compares the shell's prompt with other shells' in turn, and measures its completion.
func prompts(ctx context.Context, program string) error {
	b, err := crowded(ctx, machine.Shells)
	if err != nil {
		return err
	}
	defer b.Close()
	if err := b.CopyIn(ctx, program, "/usr/local/bin/terminal", 0o755); err != nil {
		return err
	}
	if _, err := b.sh(ctx, "systemctl start shadowsync.socket shadowsync-operator.socket shadowsync.service"); err != nil {
		return err
	}
	starts := []struct{ name, command string }{
		{"pcli to its prompt", `-script '# ' -- pcli`},
		{"bash -i", `-script '# ' -- bash -i`},
		{"python3 -c pass", `-script done -- sh -c 'python3 -c pass && echo done'`},
		{"vtysh", `-script '# ' -- vtysh`},
	}
	times := map[string][]int64{}
	for range 5 {
		for _, s := range starts {
			some, err := b.terminal(ctx, 10, s.command)
			if err != nil {
				return err
			}
			times[s.name] = append(times[s.name], some...)
		}
	}
	for _, s := range starts {
		show(s.name, times[s.name])
	}
	completions, err := b.terminal(ctx, 20, `-script '# |show user u4711|u4711|\t|u4711 ' -from 3 -- pcli`)
	if err != nil {
		return err
	}
	show("Tab to one of 10,000 accounts", completions)
	return nil
}

// terminal runs the program terminal on the machine.
func (b *bench) terminal(ctx context.Context, n int, command string) ([]int64, error) {
	out, err := b.sh(ctx, fmt.Sprintf("terminal -n %d %s", n, command))
	if err != nil {
		return nil, err
	}
	var micros []int64
	for line := range strings.Lines(out) {
		us, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
		if err != nil {
			return nil, err
		}
		micros = append(micros, us)
	}
	return micros, nil
}

func show(name string, micros []int64) {
	fmt.Printf("%-40s p50 %6.1f ms  p90 %6.1f ms\n", name, float64(quantile(micros, 0.5))/1000, float64(quantile(micros, 0.9))/1000)
}

const (
	firstPassword  = "Copper-kettle-41"
	secondPassword = "Velvet-harbour-72"

	login = "ssh -tt -F none -l admin -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o PreferredAuthentications=password 127.0.0.1"
)

// setPasswords compares set password over ssh, with sessions to end, with the same user's passwd(1)
// without our line in the stack and without ending sessions, in turn. Each password takes a fifth
// of a second to type, which does not count.
func setPasswords(ctx context.Context, program string) error {
	b, err := stage(ctx, sqliteStore)
	if err != nil {
		return err
	}
	defer b.Close()
	if err := b.CopyIn(ctx, program, "/usr/local/bin/terminal", 0o755); err != nil {
		return err
	}
	if _, err := b.sh(ctx, `cp /etc/pam.d/common-password /root/with; grep -v pam_shadowsync /root/with > /root/without
usermod -s /usr/bin/pcli admin; echo 'admin:`+firstPassword+`' | chpasswd`); err != nil {
		return err
	}
	times := map[string][]int64{}
	for range 10 {
		if err := b.changeTwice(ctx, times); err != nil {
			return err
		}
	}
	for _, name := range []string{"passwd", "set password"} {
		show(fmt.Sprintf("%s, %d other sessions open", name, openSessions), times[name])
	}
	beyond := quantile(times["set password"], 0.5) - quantile(times["passwd"], 0.5)
	fmt.Printf("set password beyond passwd: %.0f ms\n", float64(beyond)/1000)
	return nil
}

// changeTwice changes a password with passwd, and back with set password.
func (b *bench) changeTwice(ctx context.Context, times map[string][]int64) error {
	for range openSessions {
		session, err := b.SSH(ctx, "admin", firstPassword)
		if err != nil {
			return err
		}
		defer session.Close()
		if err := session.Await(ctx, "> "); err != nil {
			return err
		}
	}
	for _, c := range []struct{ name, stack, script string }{
		{"passwd", "without", fmt.Sprintf(`-uid $(id -u admin) -script 'urrent password: |%[1]s\n|New password: |%[2]s\n|Retype new password: |%[2]s\n|updated successfully' -- passwd`, firstPassword, secondPassword)},
		{"set password", "with", fmt.Sprintf(`-script 'assword: |%[2]s\n|> |set password\n|current password:|%[2]s\n|new password:|%[1]s\n|Confirm:|%[1]s\n|updated successfully' -from 3 -- `+login, firstPassword, secondPassword)},
	} {
		if _, err := b.sh(ctx, "cp /root/"+c.stack+" /etc/pam.d/common-password"); err != nil {
			return err
		}
		some, err := b.terminal(ctx, 1, "-pause 200ms "+c.script)
		if err != nil {
			return err
		}
		times[c.name] = append(times[c.name], some...)
	}
	return nil
}
