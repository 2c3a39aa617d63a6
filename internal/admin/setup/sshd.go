package setup

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"

	"github.com/shadowsync/shadowsync/internal/files/inroot"
)

const (
	sshdService = "sshd"
	sshdBinary  = "/usr/sbin/sshd"
)

// sshdPath is read before sshd's own file, in which Debian says no; sshd takes the first value.
const sshdPath = "/etc/ssh/sshd_config.d/10-shadowsync.conf"

const sshdText = `# Written by "shadowsync setup"; "shadowsync remove" takes it away again.
# Without it sshd cannot ask for the code of a second factor.
KbdInteractiveAuthentication yes
`

// keyAndCode is what only an administrator can decide: for whom a key counts as the first factor.
const keyAndCode = `a key alone lets no account with a second factor in. For key and code, put this at the end of /etc/ssh/sshd_config:
          Match Group GROUP
              AuthenticationMethods publickey,keyboard-interactive:pam keyboard-interactive:pam`

// sshUnits are the names of sshd's unit: Debian's, and the others'.
var sshUnits = []string{"ssh.service", "sshd.service"}

func (j *job) sshdDue(ctx context.Context) (bool, error) {
	asks := slices.Contains(j.config.SecondFactor.Services, sshdService)
	_, known, err := j.ledger.find(ctx, sshdPath)
	if err != nil || !asks {
		return known || !SSHDAltered(j.Root), err
	}
	altered, err := j.ledger.changed(ctx, sshdPath)
	return !known || altered || !j.exists(sshdPath), err
}

// wireSSHD lets sshd ask questions. sshd reads the file only if it accepts the whole configuration. It is
// asked each time: an earlier setup may have ended between the file and that.
func (j *job) wireSSHD(ctx context.Context) error {
	due, err := j.sshdDue(ctx)
	if err != nil {
		return err
	}
	if due {
		if err := j.ledger.write(ctx, sshdPath, []byte(sshdText), 0o644); err != nil {
			return err
		}
		j.note("%s", keyAndCode)
	}
	if j.mounted() {
		return nil
	}
	if said, err := exec.CommandContext(ctx, sshdBinary, "-t").CombinedOutput(); err != nil {
		if due {
			_, _ = j.ledger.takeBack(ctx, sshdPath) // sshd's own words matter more
		}
		return fmt.Errorf("cannot let sshd ask for second factors: its configuration is refused: %s", strings.TrimSpace(string(said)))
	}
	return j.reloadSSHD(ctx)
}

func (j *job) unwireSSHD(ctx context.Context) error {
	_, known, _ := j.ledger.find(ctx, sshdPath) // without the record, the text alone tells
	take := j.takeBack
	if !known {
		if SSHDAltered(j.Root) {
			return nil
		}
		take = func(context.Context, string) error { return inroot.Remove(j.Root, sshdPath) }
	}
	if err := take(ctx, sshdPath); err != nil || j.mounted() {
		return err
	}
	return j.reloadSSHD(ctx)
}

// reloadSSHD has a running sshd read its configuration; one that is started for each connection needs none.
func (j *job) reloadSSHD(ctx context.Context) error {
	for _, unit := range sshUnits {
		state, err := j.bus.Unit(ctx, unit)
		if err != nil {
			return err
		}
		if state.Load == "loaded" && state.Active == "active" {
			_, err := Systemctl(ctx, "reload", unit)
			return err
		}
	}
	return nil
}

// SSHDAltered reports whether the file that lets sshd ask is not as setup writes it.
func SSHDAltered(root string) bool { return !inroot.Holds(root, sshdPath, []byte(sshdText)) }

// SSHD returns what sshd makes of its configuration, by keyword in lower case.
func SSHD(ctx context.Context) (map[string]string, error) {
	cmd := exec.CommandContext(ctx, sshdBinary, "-T")
	said, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("cannot have sshd show its configuration: %w", err)
	}
	settings := map[string]string{}
	for line := range strings.Lines(string(said)) {
		keyword, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		settings[keyword] = value
	}
	return settings, nil
}
