package base

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// keyring signs every Debian release; debootstrap on Debian finds it itself,
// on other hosts it has to be named.
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// packages is what a machine has beyond debootstrap's minbase.
var packages = []string{
	// a machine that boots and is logged into
	"systemd", "systemd-sysv", "dbus", "libpam-systemd", "openssh-server", "openssh-client", "sudo",
	// accounts and passwords as an administrator finds them
	"passwd", "login", "libpam-runtime", "libpam-modules", "libpam-pwquality", "cracklib-runtime",
	// what scenes and benchmarks use
	"sqlite3", "sshpass", "inotify-tools", "procps", "util-linux", "iproute2", "e2fsprogs", "attr",
	// what runs as a user beside the sessions: left behind on purpose, or by the clock
	"tmux", "cron", "at",
	// for the person in the shell, and what the bench compares with
	"less", "nano", "python3-minimal",
}

// prepareScript turns the installed tree into one that many different
// machines can boot from. It runs with the tree as its root.
const prepareScript = `set -e
# Empty, not absent: every machine gets an id of its own, and none takes this boot for its first.
: >/etc/machine-id
rm -f /etc/resolv.conf /var/lib/dbus/machine-id
# The journal survives the machine's reboots, and no line of it is dropped.
mkdir -p /var/log/journal /etc/systemd/journald.conf.d /etc/ssh/sshd_config.d
cat >/etc/systemd/journald.conf.d/machine.conf <<'EOF'
[Journal]
Storage=persistent
SystemMaxUse=128M
RateLimitIntervalSec=0
EOF
# pam_env complains at each login while this is missing.
: >/etc/default/locale
# Tests give wrong passwords from one address, many at a time, on purpose.
printf 'MaxStartups 200\nUseDNS no\n' >/etc/ssh/sshd_config.d/machine.conf
if sshd -T -o PerSourcePenalties=no >/dev/null 2>&1; then
	echo 'PerSourcePenalties no' >>/etc/ssh/sshd_config.d/machine.conf
fi
# Nothing starts by the clock in the middle of a measurement.
for timer in apt-daily apt-daily-upgrade dpkg-db-backup e2scrub_all fstrim man-db; do
	ln -sf /dev/null /etc/systemd/system/$timer.timer
done
# Nor by these two; a scene starts them.
systemctl --quiet disable cron.service atd.service
# The caches are as new as /usr, so that ldconfig and its like do not run at each boot.
touch /etc/.updated /var/.updated
rm -rf /var/cache/apt/archives/*.deb /var/lib/apt/lists/*
`

// key names the tree that these packages and this preparation give.
func key(kind Kind) string {
	sum := sha256.Sum256([]byte(strings.Join(packages, ",") + "\n" + prepareScript))
	return fmt.Sprintf("%s-%x", kind.name(), sum[:6])
}

// build makes the tree beside its place and renames it there when it is whole.
// The caller holds the tree's lock exclusively, so that a leftover is nobody's.
func build(ctx context.Context, path string, kind Kind, progress io.Writer) error {
	started := time.Now()
	address, err := mirror(ctx)
	if err != nil {
		return err
	}
	unfinished := path + ".building"
	if err := os.RemoveAll(unfinished); err != nil {
		return fmt.Errorf("cannot clear an unfinished base tree: %w", err)
	}
	fmt.Fprintf(progress, "machine: building the base tree of Debian %s, once, about half a minute\n", kind.name())
	if err := debootstrap(ctx, unfinished, kind, address, progress); err != nil {
		return errors.Join(fmt.Errorf("cannot build the base tree of %s: %w", kind.name(), err), os.RemoveAll(unfinished))
	}
	if err := os.Rename(unfinished, path); err != nil {
		return fmt.Errorf("cannot put the base tree in place: %w", err)
	}
	fmt.Fprintf(progress, "machine: base tree of Debian %s is ready after %.0f s\n", kind.name(), time.Since(started).Seconds())
	return nil
}

func debootstrap(ctx context.Context, into string, kind Kind, address string, progress io.Writer) error {
	install := privately(ctx, "debootstrap", "--variant=minbase", "--keyring="+keyring,
		"--include="+strings.Join(slices.Concat(packages, kind.Packages), ","), string(kind.Release), into, address)
	install.Env = proxyEnvironment(ctx)
	if err := follow(install, progress); err != nil {
		return err
	}
	prepare := privately(ctx, "chroot", into, "/bin/sh", "-c", prepareScript)
	prepare.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"}
	if err := follow(prepare, progress); err != nil {
		return err
	}
	// A dictionary that was not built would make every password a good one.
	if _, err := os.Stat(filepath.Join(into, "var/cache/cracklib/cracklib_dict.pwd")); err != nil {
		return fmt.Errorf("cannot find cracklib's dictionary: %w", err)
	}
	return nil
}

// privately runs a command in a mount namespace and a process group of its
// own: debootstrap mounts /proc and /sys in the tree and leaves them there
// when it is killed, where a later removal of the tree would walk into them.
func privately(ctx context.Context, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, "unshare", append([]string{"--mount", "--"}, args...)...)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	command.WaitDelay = 5 * time.Second
	return command
}

// phases are the first lines of debootstrap's stages, and what to tell of them.
var phases = []struct{ line, told string }{
	{"I: Retrieving Packages", "reading the archive's index"},
	{"I: Retrieving libacl1", "fetching packages"},
	{"I: Extracting", "unpacking"},
	{"I: Unpacking the base system", "installing"},
	{"I: Configuring the base system", "configuring"},
}

// follow runs the command, tells its phases, and puts its last words into the error.
func follow(command *exec.Cmd, progress io.Writer) error {
	reader, writer := io.Pipe()
	command.Stdout, command.Stderr = writer, writer
	tail := make(chan []string, 1)
	go func() { tail <- lastLines(reader, progress) }()
	err := command.Run()
	_ = writer.Close()
	last := <-tail
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", command.Args[3], err, strings.Join(last, "\n"))
	}
	return nil
}

func lastLines(from io.Reader, progress io.Writer) []string {
	var last []string
	told := map[string]bool{}
	for lines := bufio.NewScanner(from); lines.Scan(); {
		last = append(last, lines.Text())
		last = last[max(0, len(last)-15):]
		for _, phase := range phases {
			if strings.HasPrefix(lines.Text(), phase.line) && !told[phase.told] {
				told[phase.told] = true
				fmt.Fprintf(progress, "machine: … %s\n", phase.told)
			}
		}
	}
	_, _ = io.Copy(io.Discard, from) // a line too long for the scanner must not stall the command
	return last
}
