package setup

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/password/pamstack"
)

// ProfileFolder contains the profiles that pam-auth-update switches on and off.
const ProfileFolder = "/usr/share/pam-configs"

// The profiles: one announces changes and logins, the other checks new passwords.
const (
	mainProfile  = "shadowsync"
	judgeProfile = "shadowsync-judge"
)

// Profiles lists both.
var Profiles = []string{mainProfile, judgeProfile}

// ProfilesFor returns the profiles that a configuration needs: without password rules, no stack
// gets the line for them.
func ProfilesFor(c *config.Config) []string {
	if c.Password.HasRules() {
		return Profiles
	}
	return []string{mainProfile}
}

// passwdService is the service that root's recovery uses. On Debian all services share its password
// lines.
const passwdService = "passwd"

// LoginServices are the usual login services. The first existing one represents them all.
var LoginServices = []string{"login", "sshd", "su", "sudo"}

// PAMError is a PAM stack that must be corrected by hand.
type PAMError struct {
	Fault  error  // one of pamstack's, or the tool's output
	Advice string // what to do, in whole lines
}

func (e *PAMError) Error() string { return "cannot set the PAM stack right: " + e.Fault.Error() }
func (e *PAMError) Unwrap() error { return e.Fault }

// ErrLocalModifications is pam-auth-update's refusal: it prints that and exits with 0.
var ErrLocalModifications = errors.New("pam-auth-update leaves the files common-* of /etc/pam.d alone, for one of them was edited by hand")

// HasPAMAuthUpdate reports whether the system under root has Debian's tool.
func HasPAMAuthUpdate(root string) bool {
	info, err := inroot.Stat(root, "usr/sbin/pam-auth-update")
	return err == nil && info.Mode()&0o111 != 0
}

// ModuleFolder is the folder of libpam's modules in the system under root: Debian's multiarch
// folder, Fedora's lib64, or lib.
func ModuleFolder(root string) (string, error) {
	for _, folder := range append(multiarch(root), "/usr/lib64/security", "/usr/lib/security") {
		if _, err := inroot.Stat(root, filepath.Join(folder, "pam_permit.so")); err == nil {
			return folder, nil
		}
	}
	return "", errors.New("cannot find the folder of PAM modules")
}

// multiarch returns Debian's folders, one for each architecture.
func multiarch(root string) (folders []string) {
	for _, lib := range []string{"/usr/lib", "/lib"} {
		entries, _ := inroot.ReadDir(root, lib) // a missing folder counts as empty
		for _, e := range entries {
			if strings.Contains(e.Name, "-linux-") {
				folders = append(folders, filepath.Join(lib, e.Name, "security"))
			}
		}
	}
	return folders
}

// pamFault returns which of our lines is wrong, and how, in the stacks for root's recovery and for
// logins.
func (j *job) pamFault() (pamstack.Duty, error) {
	password, err := pamstack.Read(j.Root, passwdService, pamstack.Password)
	if err == nil {
		err = pamstack.Announce.Check(password)
	}
	if err != nil {
		return pamstack.Announce, err
	}
	if j.config.Password.HasRules() {
		if err := pamstack.Judge.Check(password); err != nil {
			return pamstack.Judge, err
		}
	}
	for _, service := range LoginServices {
		lines, err := pamstack.Read(j.Root, service, pamstack.Auth)
		if err == nil && pamstack.Stores(lines) {
			return pamstack.Login, pamstack.Login.Check(lines)
		}
	}
	return pamstack.Duty{}, nil
}

func (j *job) pamDue(context.Context) (bool, error) {
	_, fault := j.pamFault()
	return fault != nil, nil
}

// switchOnPAM uses the system's own tool and then checks the stacks, because the tool's exit status
// is not reliable.
func (j *job) switchOnPAM(ctx context.Context) error {
	duty, fault := j.pamFault()
	profiles := ProfilesFor(j.config)
	if errors.Is(fault, pamstack.ErrAbsent) && HasPAMAuthUpdate(j.Root) {
		if err := pamAuthUpdate(ctx, "--enable", profiles); err != nil {
			return err
		}
		if duty, fault = j.pamFault(); errors.Is(fault, pamstack.ErrAbsent) {
			fault = ErrLocalModifications
		}
	}
	if fault == nil {
		return nil
	}
	return &PAMError{Fault: fault, Advice: advice(duty, fault, profiles)}
}

func pamAuthUpdate(ctx context.Context, how string, profiles []string) error {
	cmd := exec.CommandContext(ctx, "pam-auth-update", append([]string{how}, profiles...)...)
	// Otherwise debconf would ask questions on the terminal.
	cmd.Env = append(cmd.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8")
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot run pam-auth-update %s: %w: %s", how, err, strings.TrimSpace(string(said)))
	}
	return nil
}

// byHand says where each of our lines belongs in Debian's files.
var byHand = map[pamstack.Duty]string{
	pamstack.Announce: "to /etc/pam.d/common-password, after pam_permit.so at its end:\n    password	optional			pam_shadowsync.so",
	pamstack.Judge:    "to /etc/pam.d/common-password, before pam_unix.so:\n    password	[authtok_err=die default=ignore]	pam_shadowsync.so judge",
	pamstack.Login:    "to /etc/pam.d/common-auth, after pam_permit.so at its end:\n    auth	optional			pam_shadowsync.so",
}

const (
	debianAdvice = `Either give up the local edits and let pam-auth-update write the files anew:
    pam-auth-update --force --enable %s
or add this line %s
Then run shadowsync setup again.`

	shapeAdvice = `The password lines must judge a new password before they store it, jump over the refusal, and come to ours:
    password	[authtok_err=die default=ignore]	pam_shadowsync.so judge
    password	[success=1 default=ignore]	pam_unix.so …
    password	requisite			pam_deny.so
    password	required			pam_permit.so
    password	optional			pam_shadowsync.so
and the auth lines must do so too:
    auth	[success=1 default=ignore]	pam_unix.so …
    auth	requisite			pam_deny.so
    auth	required			pam_permit.so
    auth	optional			pam_shadowsync.so
The line that judges is needed only where the configuration has rules for passwords.
Then run shadowsync setup again.`

	authselectAdvice = `authselect keeps the PAM stacks here, and a profile of your own has to hold our lines. Where the RPM is installed,
    /usr/share/shadowsync/authselect/make-profile
makes one of the profile in use, and prints the command that selects it. By hand:
    authselect current
    authselect create-profile shadowsync --base-on PROFILE
In system-auth and password-auth of /etc/authselect/custom/shadowsync replace the password and the auth line of
pam_unix.so by these, with its options:
    password    [authtok_err=die default=ignore]    pam_shadowsync.so judge
    password    [success=1 new_authtok_reqd=1 default=ignore]    pam_unix.so …
    password    [success=2 default=ignore]    pam_permit.so
    password    optional                      pam_shadowsync.so
    password    sufficient                    pam_permit.so
    auth        [success=1 new_authtok_reqd=1 default=ignore]    pam_unix.so …
    auth        [success=2 default=ignore]    pam_permit.so
    auth        optional                      pam_shadowsync.so
    auth        sufficient                    pam_permit.so
    authselect select custom/shadowsync FEATURES…
The line that judges is needed only where the configuration has rules for passwords.
Then run shadowsync setup again.`
)

// advice says what to add and where, depending on the tool that manages this machine's stacks.
func advice(duty pamstack.Duty, fault error, profiles []string) string {
	if _, err := exec.LookPath("authselect"); err == nil && !HasPAMAuthUpdate("/") {
		return authselectAdvice
	}
	if errors.Is(fault, ErrLocalModifications) {
		return fmt.Sprintf(debianAdvice, strings.Join(profiles, " "), byHand[duty])
	}
	return shapeAdvice
}
