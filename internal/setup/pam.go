package setup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/shadowsync/shadowsync/internal/setup/pamstack"
)

// Profile is what pam-auth-update switches on and off.
const Profile = "/usr/share/pam-configs/shadowsync"

// passwdService is the service that root's recovery goes through. On Debian all
// services share its password lines.
const passwdService = "passwd"

// PAMError is a PAM stack that has to be set right by hand.
type PAMError struct {
	Fault  error  // one of pamstack's, or what the tool said
	Advice string // what to do, in whole lines
}

func (e *PAMError) Error() string { return "cannot set the PAM stack right: " + e.Fault.Error() }
func (e *PAMError) Unwrap() error { return e.Fault }

// ErrLocalModifications is pam-auth-update's refusal, which it prints and exits 0.
var ErrLocalModifications = errors.New("pam-auth-update leaves /etc/pam.d/common-password alone, for it was edited by hand")

// HasPAMAuthUpdate tells whether the system beneath root has Debian's tool.
func HasPAMAuthUpdate(root string) bool {
	info, err := os.Stat(filepath.Join(root, "usr/sbin/pam-auth-update"))
	return err == nil && info.Mode()&0o111 != 0
}

// ModuleFolder is where libpam of the system beneath root has its modules: Debian's
// multiarch folder, Fedora's lib64, or lib. The path includes root.
func ModuleFolder(root string) (string, error) {
	for _, pattern := range []string{"usr/lib/*-linux-*/security", "lib/*-linux-*/security", "usr/lib64/security", "usr/lib/security"} {
		found, err := filepath.Glob(filepath.Join(root, pattern, "pam_permit.so"))
		if err == nil && len(found) > 0 {
			return filepath.Dir(found[0]), nil
		}
	}
	return "", errors.New("cannot find the folder of PAM modules")
}

// JudgePAM tells what is wrong with our line in the stack of a service.
func JudgePAM(root, service string) error {
	lines, err := pamstack.Read(root, service)
	if err != nil {
		return err
	}
	return pamstack.Judge(lines)
}

func (j *job) pamDue(context.Context) (bool, error) {
	return JudgePAM(j.Root, passwdService) != nil, nil
}

// switchOnPAM uses the system's own tool, and then looks, for the tool's word is not enough.
func (j *job) switchOnPAM(ctx context.Context) error {
	fault := JudgePAM(j.Root, passwdService)
	if errors.Is(fault, pamstack.ErrAbsent) && HasPAMAuthUpdate(j.Root) {
		if err := pamAuthUpdate(ctx, "--enable"); err != nil {
			return err
		}
		if fault = JudgePAM(j.Root, passwdService); errors.Is(fault, pamstack.ErrAbsent) {
			fault = ErrLocalModifications
		}
	}
	if fault == nil {
		return nil
	}
	return &PAMError{Fault: fault, Advice: advice(fault)}
}

func pamAuthUpdate(ctx context.Context, how string) error {
	cmd := exec.CommandContext(ctx, "pam-auth-update", how, "shadowsync")
	// debconf would ask on the terminal otherwise.
	cmd.Env = append(cmd.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8")
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot run pam-auth-update %s: %w: %s", how, err, strings.TrimSpace(string(said)))
	}
	return nil
}

const (
	debianAdvice = `Either give up the local edits and let pam-auth-update write the file anew:
    pam-auth-update --force --enable shadowsync
or add this line to /etc/pam.d/common-password, after pam_permit.so at its end:
    password	optional			pam_shadowsync.so
Then run shadowsync setup again.`

	shapeAdvice = `The password lines must store the password, jump over the refusal, and come to ours:
    password	[success=1 default=ignore]	pam_unix.so …
    password	requisite			pam_deny.so
    password	required			pam_permit.so
    password	optional			pam_shadowsync.so
Then run shadowsync setup again.`

	authselectAdvice = `authselect keeps the PAM stacks here, and a profile of your own has to hold our line:
    authselect current
    authselect create-profile shadowsync --base-on PROFILE
In system-auth and password-auth of /etc/authselect/custom/shadowsync replace the password lines from pam_unix.so on
by these, with the options that your pam_unix.so line has:
    password    [success=1 default=ignore]    pam_unix.so …
    password    requisite                     pam_deny.so
    password    required                      pam_permit.so
    password    optional                      pam_shadowsync.so
    authselect select custom/shadowsync FEATURES…
Then run shadowsync setup again.`
)

// advice says what to add and where, by what keeps the stacks of this machine.
func advice(fault error) string {
	if _, err := exec.LookPath("authselect"); err == nil && !HasPAMAuthUpdate("/") {
		return authselectAdvice
	}
	if errors.Is(fault, ErrLocalModifications) {
		return debianAdvice
	}
	return shapeAdvice
}
