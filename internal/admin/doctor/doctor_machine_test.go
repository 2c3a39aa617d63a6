package doctor_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/admin/doctor"
	"github.com/shadowsync/shadowsync/internal/test/machine"
	"github.com/shadowsync/shadowsync/internal/test/machine/browser"
)

// wired boots a machine with the appliance and sets shadowsync up on it.
func wired(t *testing.T, release machine.Release) *machine.T {
	t.Helper()
	m := machine.Boot(t, release)
	m.InstallAppliance(machine.Appliance{})
	m.InstallShadowsync()
	m.Configure()
	m.Must("shadowsync", "setup")
	return m
}

// examine runs doctor and returns its findings by name. It checks that the exit status is 1 exactly
// if one of them is a failure.
func examine(t *testing.T, m *machine.T, args ...string) map[string]doctor.Finding {
	t.Helper()
	said := m.Run(append([]string{"shadowsync", "doctor", "--json"}, args...)...)
	var result doctor.Result
	if err := json.Unmarshal([]byte(said.Stdout), &result); err != nil {
		t.Fatalf("doctor: %v; %s", err, said)
	}
	if failed := result.Count(doctor.Fail) > 0; said.Code != 0 != failed {
		t.Errorf("doctor exits %d with %d failures", said.Code, result.Count(doctor.Fail))
	}
	found := map[string]doctor.Finding{}
	for _, f := range result.Checks {
		found[f.Name] = f
	}
	return found
}

func wantHealthy(t *testing.T, found map[string]doctor.Finding) {
	t.Helper()
	for _, f := range found {
		if f.State != doctor.OK {
			t.Errorf("%s is %s: %s (%s)", f.Name, f.State, f.Detail, f.Fix)
		}
	}
}

func TestAHealthyMachine(t *testing.T) {
	t.Parallel()
	machine.Need(t)
	for _, release := range machine.Releases {
		t.Run(string(release), func(t *testing.T) {
			t.Parallel()
			m := wired(t, release)
			everything := func() string {
				return m.Etc() + m.MustShell("find /run/shadowsync -type f -print0 | sort -z | xargs -0 sha256sum; ls -lA /tmp /run; findmnt -rn")
			}
			before := everything()
			wantHealthy(t, examine(t, m))
			if after := everything(); after != before {
				t.Errorf("doctor changed the machine, before:\n%s\nafter:\n%s", before, after)
			}
			if m.Shell("grep -r shadowsync-doctor /etc /var/lib/shadowsync /run/shadowsync").Code == 0 {
				t.Error("the scratch account is left")
			}
		})
	}
}

// A fault is one broken part of the wiring.
type fault struct {
	name string
	// breaking is the script that causes the fault; the check's message must contain says.
	breaking, check, says string
	// state is Fail if empty.
	state doctor.State
	// unasked: --fix leaves the fault, because the command would undo what may be on purpose, or
	// installs what this program does not contain.
	unasked bool
	// person is the script for what only a person can decide. The check must say so, and its
	// command is the first step. It implies unasked.
	person string
}

// reinstall stands for make install, which needs the source.
const reinstall = "make install"

var faults = []fault{
	{name: "line deleted", breaking: "sed -i /pam_shadowsync/d /etc/pam.d/common-password", check: "pam-line", says: "missing in /etc/pam.d/common-password"},
	{name: "line deleted, seen by a change", breaking: "sed -i /pam_shadowsync/d /etc/pam.d/common-password", check: "pam-change", says: "not announced"},
	{name: "line required", breaking: "sed -i 's/optional.*pam_shadowsync/required pam_shadowsync/' /etc/pam.d/common-password", check: "pam-line", says: "its control must be optional"},
	{name: "line first", breaking: "sed -i '/pam_shadowsync/d; 1i password optional pam_shadowsync.so' /etc/pam.d/common-password", check: "pam-line", says: "before the module that stores"},
	{name: "stack without the jump", breaking: "sed -i 's/^password.*pam_deny.so/password optional pam_permit.so/' /etc/pam.d/common-password", check: "pam-line", says: "reached after a failed change", unasked: true},
	{name: "module gone", breaking: "rm /usr/lib/*/security/pam_shadowsync.so", check: "pam-module", says: "no such file", unasked: true},
	{name: "module gone, seen by a change", breaking: "rm /usr/lib/*/security/pam_shadowsync.so", check: "pam-change", says: "not announced", unasked: true},
	{name: "module garbled", breaking: "for f in /usr/lib/*/security/pam_shadowsync.so; do echo hello > $f; done", check: "pam-module", says: "cannot be loaded", unasked: true},
	{name: "profile gone", breaking: "rm /usr/share/pam-configs/shadowsync", check: "pam-profile", says: "no such file", unasked: true},
	{name: "drop-in gone", breaking: "rm /etc/systemd/system/128T.service.d/50-shadowsync.conf; systemctl daemon-reload", check: "drop-ins", says: "is missing"},
	{name: "drop-in edited", breaking: "sed -i /OnSuccess/d /etc/systemd/system/128T.service.d/50-shadowsync.conf; systemctl daemon-reload", check: "drop-ins", says: "not as setup wrote it"},
	{name: "drop-in not loaded", breaking: "cd /etc/systemd/system/128T.service.d && mv 50-shadowsync.conf x && systemctl daemon-reload && mv x 50-shadowsync.conf", check: "loaded", says: "not read the present drop-in"},
	{name: "drop-in of an older version", breaking: `printf '[Unit]\nWants=shadowsync-start@%%N.service\nAfter=shadowsync-start@%%N.service\n[Service]\nExecStopPost=-+/usr/sbin/shadowsync hook post-stop --unit %%n\n' > /etc/systemd/system/128T.service.d/50-shadowsync.conf; systemctl daemon-reload`, check: "drop-ins", says: "runs our program as root with the environment of 128T.service"},
	{name: "no room for a hook", breaking: "printf '[Unit]\nOnFailure=emergency.service\nOnFailureJobMode=isolate\n' > /etc/systemd/system/128T.service.d/90-mine.conf; systemctl daemon-reload", check: "drop-ins", says: "not as setup wrote it"},
	{name: "room for the hook again", breaking: "rm -f /etc/systemd/system/128T.service.d/90-mine.conf; sed -i /OnFailure/d /etc/systemd/system/128T.service.d/50-shadowsync.conf; systemctl daemon-reload", check: "drop-ins", says: "not as setup wrote it"},
	{name: "unit gone", breaking: "rm /usr/lib/systemd/system/shadowsync-start@.service; systemctl daemon-reload", check: "units", says: "shadowsync-start@.service is missing"},
	{name: "unit of the stop masked", breaking: "systemctl mask shadowsync-stopped@.service", check: "units", says: "is masked"},
	{name: "unit edited", breaking: "echo '# mine' >> /usr/lib/systemd/system/shadowsync.service; systemctl daemon-reload", check: "units", says: "differs from this version's unit"},
	{name: "unit masked", breaking: "systemctl mask shadowsync-start@.service", check: "units", says: "is masked"},
	{name: "socket disabled", breaking: "systemctl disable shadowsync.socket", check: "enabled", says: "shadowsync.socket"},
	{name: "all stopped", breaking: "systemctl stop shadowsync.socket shadowsync-operator.socket shadowsync.service", check: "running", says: "shadowsync.service (inactive)"},
	{name: "socket unlinked", breaking: "rm /run/shadowsync/root.sock", check: "broker", says: "cannot get an answer"},
	{name: "operators' socket unlinked", breaking: "rm /run/shadowsync/operator.sock", check: "broker", says: "operators get no answer"},
	{name: "program open to all", breaking: "chmod 777 /usr/sbin/shadowsync", check: "program", says: "others may write it"},
	{name: "program that others may read", breaking: "chmod 755 /usr/sbin/shadowsync", check: "program", says: "others may read it", state: doctor.Warn},
	{name: "disk full", breaking: ownDisk + "dd if=/dev/zero of=/var/lib/shadowsync/filler bs=64k status=none || true", check: "disk", says: "is full", person: "rm /var/lib/shadowsync/filler"},
	// restart, because start would join a start that systemd may be trying by itself.
	{name: "state of a newer version", breaking: `systemctl stop shadowsync.service; sqlite3 -cmd ".timeout 5000" /var/lib/shadowsync/state/state.db "PRAGMA user_version = 999"`, check: "state", says: "newer", person: `sqlite3 /var/lib/shadowsync/state/state.db "PRAGMA user_version = $(cat /root/version)"; systemctl restart shadowsync.service`},
	{name: "configuration writable", breaking: "chmod 666 /etc/shadowsync/shadowsync.toml", check: "configuration", says: "may write it"},
	{name: "configuration readable", breaking: "chmod 644 /etc/shadowsync/shadowsync.toml", check: "configuration", says: "may read it", state: doctor.Warn},
	{name: "configuration invalid", breaking: "echo nonsense >> /etc/shadowsync/shadowsync.toml", check: "configuration", says: "line 16", person: "sed -i '/^nonsense/d' /etc/shadowsync/shadowsync.toml; systemctl restart shadowsync.service"},
	{name: "list gone", breaking: "rm /run/shadowsync/managed", check: "managed", says: "no such file"},
	{name: "list wrong", breaking: "echo 'root\tx.service' > /run/shadowsync/managed", check: "managed", says: "does not list the accounts"},
	{name: "list of somebody", breaking: "chown 1000 /run/shadowsync/managed", check: "managed", says: "can be changed by others than root"},
	{name: "state open to all", breaking: "chmod 755 /var/lib/shadowsync", check: "state-folder", says: "others may read it", state: doctor.Warn},
	{name: "tmp without inodes", breaking: "mount -t tmpfs -o nr_inodes=1 tmpfs /tmp", check: "disk", says: "no folder can be created in /tmp (no space left on device)", person: "umount /tmp"},
	{name: "shadow open to all", breaking: "chmod 644 /etc/shadow", check: "shadow-file", says: "others may read"},
	{name: "stale lock", breaking: "sleep 0 & pid=$!; wait; printf '%s\\0' $pid > /etc/shadow.lock", check: "locks", says: "/etc/shadow.lock", state: doctor.Warn},
	{name: "accounts from nowhere", breaking: "sed -i 's/^shadow:.*/shadow: sss/' /etc/nsswitch.conf", check: "nsswitch", says: "shadow from files"},
	{name: "account gone", breaking: "mkdir -p /root/users && cp -p /etc/passwd /etc/shadow /etc/group /etc/gshadow /root/users && userdel user222", check: "accounts", says: "no account user222", person: putBack},
	{name: "shadow line with fields too many", breaking: "sed -i '/^user222:/s/$/::/' /etc/shadow; touch -d -1hour /etc/shadow", check: "accounts", says: "of user222, cannot be read", person: "EDITOR=\"sed -i '/^user222:/s/::$//'\" vipw -s; shadowsync sync"},
	{name: "shadow line gone", breaking: "cp -p /etc/shadow /root/shadow && sed -i /^user222:/d /etc/shadow", check: "accounts", says: "has no line in /etc/shadow", person: "cp -p /root/shadow /etc/shadow; shadowsync sync"},
	{name: "password in passwd", breaking: "cp -p /etc/passwd /etc/shadow /root && h=$(grep ^user222: /etc/shadow | cut -d: -f2) && sed -i \"s|^user222:x:|user222:$h:|\" /etc/passwd && sed -i /^user222:/d /etc/shadow", check: "accounts", says: "is in /etc/passwd itself", unasked: true},
	{name: "password in passwd, and pwconv would do harm", breaking: "cp -p /etc/passwd /etc/shadow /root && h=$(grep ^user222: /etc/shadow | cut -d: -f2) && sed -i \"s|^user222:x:|user222:$h:|\" /etc/passwd && sed -i '/^user222:/d; /^admin:/s/$/::/' /etc/shadow", check: "accounts", says: "which would add or remove lines", person: "cp -p /root/shadow /etc/shadow; cp -p /root/passwd /etc/passwd; shadowsync sync"},
	{name: "shell not listed, last line unfinished", breaking: "cp /usr/bin/pcli /usr/local/bin/pcli; usermod -s /usr/local/bin/pcli admin; sed -i /pcli/d /etc/shells; truncate -s -1 /etc/shells", check: "shells", says: "not in /etc/shells", unasked: true},
	{name: "shell not listed", breaking: "usermod -s /usr/bin/pcli admin; sed -i /pcli/d /etc/shells", check: "shells", says: "not in /etc/shells"},
	{name: "account not in the store", breaking: "sed -i 's/\"user222\"/\"other\"/' " + machine.StorePath, check: "store", says: "does not hold user222", person: "sed -i 's/\"other\"/\"user222\"/' " + machine.StorePath + "; shadowsync sync"},
	{name: "store malformed", breaking: "cp -p " + machine.StorePath + " /root/store.json; echo '{' > " + machine.StorePath, check: "store", says: "malformed", person: "mv /root/store.json " + machine.StorePath + "; shadowsync sync"},
	{name: "store with two names", breaking: "ln " + machine.StorePath + " /var/lib/other-name.json", check: "store", says: "has 2 names", state: doctor.Warn, person: "rm /var/lib/other-name.json"},
	{name: "store gone", breaking: "mv " + machine.StorePath + " /root", check: "store", says: "cannot be read", person: "mv /root/user-running.json " + machine.StorePath + "; shadowsync sync"},
	{name: "shadow file immutable", breaking: "chattr +i /etc/shadow", check: "writable", says: "/etc/shadow is immutable", unasked: true},
	{name: "shadow file mounted", breaking: "mount --bind /etc/shadow /etc/shadow", check: "writable", says: "/etc/shadow is a mount point", unasked: true},
	{name: "store immutable", breaking: "chattr +i " + machine.StorePath, check: "writable", says: machine.StorePath + " is immutable", unasked: true},
	{name: "store append-only", breaking: "chattr +a " + machine.StorePath, check: "writable", says: machine.StorePath + " is append-only", unasked: true},
	{name: "store mounted", breaking: "mount --bind " + machine.StorePath + " " + machine.StorePath, check: "writable", says: machine.StorePath + " is a mount point", unasked: true},
	{name: "folder of the store immutable", breaking: "chattr +i " + filepath.Dir(machine.StorePath), check: "writable", says: filepath.Dir(machine.StorePath) + " is immutable", unasked: true},
	{name: "folder of the store read-only", breaking: "cd " + filepath.Dir(machine.StorePath) + " && mount --bind . $PWD && mount -o remount,bind,ro $PWD", check: "writable", says: "mounted read-only", unasked: true},
	{name: "new account", breaking: "useradd third; usermod -p '*' third; sed -i 's/\"user222\"/\"user222\", \"third\"/' /etc/shadowsync/shadowsync.toml", check: "baseline", says: "there is no baseline of third", person: "sed -i 's/, \"third\"//' /etc/shadowsync/shadowsync.toml; userdel third; systemctl restart shadowsync.service"},
	{name: "audit altered", breaking: `systemctl stop shadowsync.service; cp -a /var/lib/shadowsync/state /root/; systemctl start shadowsync.service; cd /var/lib/shadowsync/state && sqlite3 -cmd ".timeout 5000" state.db "SELECT 'DROP TRIGGER ' || name || ';' FROM sqlite_master WHERE type = 'trigger'" | sqlite3 -cmd ".timeout 5000" state.db && sqlite3 -cmd ".timeout 5000" state.db "UPDATE audit SET event = replace(event, 'baseline', 'nothing!')"`, check: "audit", says: "audit trail", person: "systemctl stop shadowsync.service; rm /var/lib/shadowsync/state/*; cp -p /root/state/* /var/lib/shadowsync/state/; systemctl start shadowsync.service"},
	{name: "line for logins deleted", breaking: "sed -i /pam_shadowsync/d /etc/pam.d/common-auth", check: "pam-login", says: "missing in /etc/pam.d/common-auth"},
	{name: "line for logins decides", breaking: "sed -i 's/optional.*pam_shadowsync/required pam_shadowsync/' /etc/pam.d/common-auth", check: "pam-login", says: "its control must be optional"},
	{name: "line for logins jumped over", breaking: "sed -i 's/success=1/success=9/' /etc/pam.d/common-auth", check: "pam-login", says: "never reached"},
	// From here on the configuration contains a rule.
	{name: "rules without a line", breaking: ruled + "pam-auth-update --disable shadowsync-judge", check: "pam-judge", says: "missing in /etc/pam.d/common-password"},
	{name: "judge deleted", breaking: ruled + "sed -i /judge/d /etc/pam.d/common-password", check: "pam-judge", says: "missing in /etc/pam.d/common-password"},
	{name: "judge last", breaking: ruled + "sed -i '/judge/d; $a password [authtok_err=die default=ignore] pam_shadowsync.so judge' /etc/pam.d/common-password", check: "pam-judge", says: "does not come before the module that stores"},
	{name: "judge without power", breaking: ruled + "sed -i 's/authtok_err=die/authtok_err=ignore/' /etc/pam.d/common-password", check: "pam-judge", says: "refuses either nothing or too much"},
	{name: "list without rules", breaking: ruled + "sed -i 's/\tjudge//' /run/shadowsync/managed", check: "managed", says: "does not list the accounts"},
	// From here on sshd and login ask for second factors.
	{name: "file that lets sshd ask gone", breaking: asked + "rm /etc/ssh/sshd_config.d/10-shadowsync.conf", check: "sshd", says: "missing or changed"},
	{name: "sshd does not ask", breaking: asked + "sed -i '1i KbdInteractiveAuthentication no' /etc/ssh/sshd_config", check: "sshd", says: "cannot ask for a code", person: "sed -i 1d /etc/ssh/sshd_config"},
	{name: "sshd without PAM", breaking: asked + "sed -i 's/^UsePAM yes/UsePAM no/' /etc/ssh/sshd_config", check: "sshd", says: "takes passwords past PAM", person: "sed -i 's/^UsePAM no/UsePAM yes/' /etc/ssh/sshd_config"},
	{name: "sshd refuses its file", breaking: asked + "echo nonsense > /etc/ssh/sshd_config.d/99-mine.conf", check: "sshd", says: "cannot have sshd show", person: "rm /etc/ssh/sshd_config.d/99-mine.conf"},
	{name: "line of the factor deleted", breaking: asked + "sed -i '/^auth required pam_shadowsync/d' /etc/pam.d/sshd", check: "pam-factor", says: "is missing"},
	{name: "account line deleted", breaking: asked + "sed -i '/^account.*pam_shadowsync/d' /etc/pam.d/sshd", check: "pam-factor", says: "is missing"},
	{name: "file of the service restored", breaking: asked + "sed -i '/pam_shadowsync/d; s/^auth substack common-auth/@include common-auth/' /etc/pam.d/login", check: "pam-factor", says: "/etc/pam.d/login are not as setup writes them"},
	{name: "line of the factor optional", breaking: asked + "sed -i 's/^auth required pam_shadowsync/auth optional pam_shadowsync/' /etc/pam.d/sshd", check: "pam-factor", says: "lets accounts in"},
	{name: "key line jumps too far", breaking: asked + "sed -i 's/success=1 default=ignore. pam_shadowsync/success=3 default=ignore] pam_shadowsync/' /etc/pam.d/login", check: "pam-factor", says: "lets accounts in"},
	{name: "substack included instead", breaking: asked + "sed -i 's/^auth substack common-auth/@include common-auth/' /etc/pam.d/sshd", check: "pam-factor", says: "not as setup writes them", state: doctor.Warn},
	{name: "sufficient line before ours", breaking: asked + "sed -i '1i auth sufficient pam_unix.so' /etc/pam.d/sshd", check: "pam-factor", says: "/etc/pam.d/sshd line 1 (auth sufficient pam_unix.so) lets accounts in", person: "sed -i 1d /etc/pam.d/sshd"},
	{name: "sufficient account line before ours", breaking: asked + "sed -i '1i account sufficient pam_localuser.so' /etc/pam.d/sshd", check: "pam-factor", says: "/etc/pam.d/sshd line 1 (account sufficient pam_localuser.so) lets accounts in", person: "sed -i 1d /etc/pam.d/sshd"},
	{name: "jump over ours", breaking: asked + "sed -i '1i auth [success=6 default=ignore] pam_listfile.so item=user sense=allow file=/x' /etc/pam.d/login", check: "pam-factor", says: "/etc/pam.d/login line 1 (", person: "sed -i 1d /etc/pam.d/login"},
	{name: "service that is not configured asks", breaking: asked + "cp -p /etc/pam.d/sshd /etc/pam.d/other-ssh", check: "pam-factor", says: "other-ssh asks for a second factor", state: doctor.Warn},
	{name: "guard for nothing", breaking: "mkdir -p /run/systemd/system/128T.service.d && printf '# description \"x\"\\n# pending 9000000000000000000 \"admin\"\\n[Unit]\\nRefuseManualStop=yes\\n' > /run/systemd/system/128T.service.d/90-shadowsync-guard.conf && systemctl daemon-reload", check: "guard", says: "are not pending"},
	{name: "page's account gone", breaking: paged + "systemctl stop shadowsync-web.service; userdel shadowsync-web", check: "web-account", says: "there is no account shadowsync-web"},
	{name: "page's account in another group", breaking: paged + "gpasswd -a shadowsync-web adm", check: "web-account", says: "is in the group adm, too", unasked: true},
	{name: "page's PAM service gone", breaking: paged + "rm /etc/pam.d/shadowsync-web", check: "web-pam", says: "nobody can sign in"},
	{name: "page's PAM service asks", breaking: paged + "echo 'auth required pam_shadowsync.so factor' >> /etc/pam.d/shadowsync-web", check: "pam-factor", says: "shadowsync-web asks for a second factor", state: doctor.Warn},
	{name: "page's PAM service checks nothing", breaking: paged + "cp -p /etc/pam.d/shadowsync-web /root; sed -i /common-auth/d /etc/pam.d/shadowsync-web", check: "web-pam", says: "checks a password", person: "cp -p /root/shadowsync-web /etc/pam.d/"},
	{name: "page's drop-in gone", breaking: paged + "rm /etc/systemd/system/shadowsync-web.socket.d/50-web.conf; systemctl daemon-reload", check: "web-address", says: "not as the configuration says"},
	{name: "page's address changed", breaking: paged + "sed -i \"s/^listen.*/listen = '127.0.0.1:$(shuf -i 9000-9999 -n 1)'/\" /etc/shadowsync/shadowsync.toml", check: "web-address", says: "not as the configuration says"},
	{name: "page that does not know of a proxy", breaking: paged + "sed -i '/^proxies/d' /etc/shadowsync/shadowsync.toml", check: "web-proxies", says: "web.proxies is not set", state: doctor.Warn, person: "sed -i '/^.web.$/a proxies = []' /etc/shadowsync/shadowsync.toml; systemctl restart shadowsync.service"},
	{name: "page's socket disabled", breaking: paged + "systemctl disable shadowsync-web.socket", check: "enabled", says: "shadowsync-web.socket"},
	{name: "page's socket to the daemon stopped", breaking: paged + "systemctl stop shadowsync-pages.socket", check: "running", says: "shadowsync-pages.socket (inactive)"},
	{name: "page's socket to the daemon open to all", breaking: paged + "chmod 666 /run/shadowsync/web.sock", check: "web-broker", says: "with mode 0666"},
	{name: "page's key readable", breaking: paged + "chmod 644 /etc/shadowsync/web.key", check: "web-certificate", says: "others may read or change it"},
	{name: "page's key of another certificate", breaking: paged + "cp /root/other.key /etc/shadowsync/web.key", check: "web-certificate", says: "does not match", person: "cp /root/web.key /etc/shadowsync/web.key; systemctl try-restart shadowsync-web.service"},
	{name: "page that cannot start", breaking: paged + "chmod 600 /usr/sbin/shadowsync-web; systemctl stop shadowsync-web.service", check: "web", says: "the page does not answer on", person: "chmod 711 /usr/sbin/shadowsync-web"},
	{name: "page's program gone", breaking: paged + "mv /usr/sbin/shadowsync-web /root", check: "web", says: "the page's program /usr/sbin/shadowsync-web is missing", person: "mv /root/shadowsync-web /usr/sbin"},
	{name: "page without its table", breaking: paged + "sed -i '/^\\[web\\]/,$d' /etc/shadowsync/shadowsync.toml", check: "web", says: "the configuration has no [web]", state: doctor.Warn},
	{name: "held by hand", breaking: "shadowsync guard hold 128T.service", check: "guard", says: "held by hand", state: doctor.Warn, unasked: true},
}

// ruled adds a rule to the configuration, once, and wires it.
const ruled = "grep -q min_length /etc/shadowsync/shadowsync.toml || { printf '\\n[password]\\nmin_length = 9\\n' >> /etc/shadowsync/shadowsync.toml && shadowsync setup; }; "

// asked has services ask for second factors, once.
const asked = "grep -q second_factor /etc/shadowsync/shadowsync.toml || { printf '\\n[second_factor]\\nservices = [\"sshd\", \"login\"]\\n' >> /etc/shadowsync/shadowsync.toml && shadowsync setup; }; "

// paged switches the page for browsers on, once, with the certificate in /root.
const paged = "grep -q '^.web.$' /etc/shadowsync/shadowsync.toml || { cp /root/web.crt /root/web.key /etc/shadowsync && " +
	"printf '\\n[web]\\nlisten = \"127.0.0.1:8443\"\\nproxies = []\\ncertificate = \"/etc/shadowsync/web.crt\"\\nkey = \"/etc/shadowsync/web.key\"\\n' >> /etc/shadowsync/shadowsync.toml && shadowsync setup; }; "

// ownDisk puts the state on a small file system of its own, once.
const ownDisk = "mountpoint -q /var/lib/shadowsync || { systemctl stop shadowsync.service && cp -a /var/lib/shadowsync /root/home && " +
	"mount -t tmpfs -o size=32m,mode=700 tmpfs /var/lib/shadowsync && cp -a /root/home/. /var/lib/shadowsync/ && systemctl start shadowsync.service; }; "

// putBack is what a person does about a deleted account.
const putBack = "cd /root/users && for f in *; do cp -p $f /etc/$f.back && mv /etc/$f.back /etc/$f; done; shadowsync sync"

// Each fault is named by its check, and both the printed command and --fix repair it. If a person
// has to decide, --fix leaves the fault and the check says so. Each fault is repaired again, so
// that one machine serves all.
func TestFaultsAreNamedAndMended(t *testing.T) {
	t.Parallel()
	m := wired(t, machine.Bookworm)
	m.MustShell(`sqlite3 -cmd ".timeout 5000" /var/lib/shadowsync/state/state.db "PRAGMA user_version" > /root/version`)
	authority := browser.NewAuthority(t)
	for _, name := range []string{"web", "other"} {
		certificate, key := authority.Issue(t, "node1")
		m.WriteFile("/root/"+name+".crt", certificate, 0o644)
		m.WriteFile("/root/"+name+".key", key, 0o600)
	}
	for _, f := range faults {
		well := t.Run(strings.ReplaceAll(f.name, " ", "-"), func(t *testing.T) {
			m.MustShell(f.breaking)
			if f.unasked || f.person != "" {
				f.named(t, examine(t, m, "--fix"))
			}
			found := examine(t, m)
			for range 3 { // the daemon may still be working and then rewrite its own files
				if found[f.check].State != doctor.OK {
					break
				}
				m.MustShell(f.breaking)
				found = examine(t, m)
			}
			f.mended(t, m, f.named(t, found).Fix)
			wantHealthy(t, examine(t, m))
			if f.unasked || f.person != "" {
				return
			}
			m.MustShell(f.breaking)
			if fixed := examine(t, m, "--fix")[f.check]; fixed.State != doctor.OK {
				t.Errorf("--fix leaves %s %s: %s", f.check, fixed.State, fixed.Detail)
			}
			wantHealthy(t, examine(t, m))
		})
		if !well {
			return // the next fault would show this one's too
		}
	}
	t.Run("guard-without-its-timer", func(t *testing.T) { guardWithoutTimer(t, m) })
}

// guardWithoutTimer: nothing would end the guard while the daemon is dead. The change is still
// pending after the command, so only the check "guard" must be ok.
func guardWithoutTimer(t *testing.T, m *machine.T) {
	folder := filepath.Dir(machine.StorePath)
	// An earlier fault may have left a mount point on the folder, which is writable again.
	m.MustShell("while mountpoint -q " + folder + "; do umount -l " + folder + "; done; mv " + folder + " /root/away && rm -f /run/shadowsync/pam-timeout")
	m.Input("Guarded-velvet-1\nGuarded-velvet-1\n").Must("passwd", "admin")
	m.WaitFor("the guard", machine.Patience, m.Guarded)
	f := fault{check: "guard", says: "has no timer that ends it"}
	for _, mend := range []string{"shadowsync sync", ""} {
		// Otherwise the daemon would repair it with its next try.
		m.MustShell("systemctl stop shadowsync.socket shadowsync-operator.socket shadowsync.service; systemctl stop 'shadowsync-guard-*.timer'")
		if fix := f.named(t, examine(t, m)).Fix; mend != "" && fix != mend {
			t.Errorf("the command is %q, want %q", fix, mend)
		}
		if mend == "" {
			examine(t, m, "--fix")
		} else if said := m.Run("shadowsync", "sync"); said.Code != 3 {
			t.Errorf("sync: %s", said)
		}
		if guard := examine(t, m)["guard"]; guard.State != doctor.OK {
			t.Errorf("mended with %q, the guard is %s: %s", mend, guard.State, guard.Detail)
		}
	}
	m.MustShell("mv /root/away " + folder + " && shadowsync sync")
	wantHealthy(t, examine(t, m))
}

// mended does what doctor says or, if only a person can, what the person would do.
func (f fault) mended(t *testing.T, m *machine.T, command string) {
	t.Helper()
	if command == reinstall {
		m.InstallShadowsync()
		return
	}
	if f.person != "" {
		command = f.person
	}
	if said := m.Shell(command); said.Code != 0 {
		t.Fatalf("%s: %s", command, said)
	}
}

func (f fault) named(t *testing.T, found map[string]doctor.Finding) doctor.Finding {
	t.Helper()
	state := f.state
	if state == "" {
		state = doctor.Fail
	}
	named := found[f.check]
	if named.State != state || !strings.Contains(named.Detail, f.says) {
		t.Errorf("%s is %s: %q; want %s with %q", f.check, named.State, named.Detail, state, f.says)
	}
	if named.Fix == "" {
		t.Errorf("%s names no command", f.check)
	}
	asks := f.person != "" && named.Fix == "shadowsync setup" // that command says what has to be decided
	if decides := strings.Contains(named.Detail, "a person has to"); decides != (f.person != "") && !asks {
		t.Errorf("%s: %q; a person has to decide: %t", f.check, named.Detail, f.person != "")
	}
	return named
}
