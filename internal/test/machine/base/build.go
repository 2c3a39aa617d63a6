package base

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// keyring has the signing keys of every Debian release. debootstrap finds it on Debian; on other
// hosts it must be named.
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// chrootPath is the search path within a tree.
const chrootPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// packages are the packages of a machine beyond debootstrap's minbase.
var packages = []string{
	// for booting and logging in
	"systemd", "systemd-sysv", "dbus", "libpam-systemd", "openssh-server", "openssh-client", "sudo",
	// accounts and passwords, as on an administrator's machine
	"passwd", "login", "libpam-runtime", "libpam-modules", "libpam-pwquality", "cracklib-runtime",
	// used by scenes and benchmarks
	"sqlite3", "sshpass", "inotify-tools", "procps", "util-linux", "iproute2", "e2fsprogs", "attr",
	// programs that run as a user outside the sessions: left behind on purpose, or started by a
	// timer
	"tmux", "cron", "at",
	// for the person in the shell, and for the bench's comparisons
	"less", "nano", "python3-minimal",
}

// prepareScript prepares the installed tree so that many different machines can boot from it. It
// runs with the tree as its root.
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

// baseKey identifies the tree that results from these packages and this preparation.
func baseKey(release Release) string {
	sum := sha256.Sum256([]byte(strings.Join(packages, ",") + "\n" + prepareScript))
	return fmt.Sprintf("%s-%x", release, sum[:6])
}

// build makes the tree next to its final place and renames it when it is complete. The caller holds
// the tree's exclusive lock, so a leftover is unused. below is the tree that a layer stands on.
func build(ctx context.Context, path, below string, kind Kind, progress io.Writer) error {
	started := time.Now()
	unfinished := path + ".building"
	if err := os.RemoveAll(unfinished); err != nil {
		return fmt.Errorf("cannot clear an unfinished tree: %w", err)
	}
	fmt.Fprintf(progress, "machine: building the tree %s, once: %s\n", kind.Name(), kind.told())
	if err := kind.install(ctx, unfinished, below, progress); err != nil {
		return errors.Join(fmt.Errorf("cannot build the tree %s: %w", kind.Name(), err), os.RemoveAll(unfinished))
	}
	if err := os.Rename(unfinished, path); err != nil {
		return fmt.Errorf("cannot put a tree in place: %w", err)
	}
	fmt.Fprintf(progress, "machine: the tree %s is ready after %.0f s, with %d MB\n", kind.Name(), time.Since(started).Seconds(), occupied(path)>>20)
	return nil
}

func (k Kind) install(ctx context.Context, into, below string, progress io.Writer) error {
	if k.Layer == Bare {
		return debootstrap(ctx, into, k.Release, progress)
	}
	return k.Layer.install(ctx, into, below, progress)
}

// occupied is how much of the disk a tree takes.
func occupied(path string) (bytes int64) {
	_ = filepath.WalkDir(path, func(_ string, entry fs.DirEntry, err error) error {
		var info fs.FileInfo
		if err == nil {
			info, err = entry.Info()
		}
		if err == nil {
			bytes += info.Sys().(*syscall.Stat_t).Blocks * 512
		}
		return err
	})
	return bytes
}

func debootstrap(ctx context.Context, into string, release Release, progress io.Writer) error {
	address, err := mirror(ctx)
	if err != nil {
		return err
	}
	install := privately(ctx, "debootstrap", "--variant=minbase", "--keyring="+keyring,
		"--include="+strings.Join(packages, ","), string(release), into, address)
	install.Env = proxyEnvironment(ctx)
	if err := follow("debootstrap", install, progress); err != nil {
		return err
	}
	prepare := privately(ctx, "chroot", into, "/bin/sh", "-c", prepareScript)
	prepare.Env = []string{"PATH=" + chrootPath, "LC_ALL=C.UTF-8"}
	if err := follow("chroot", prepare, progress); err != nil {
		return err
	}
	// Without a built dictionary every password would count as good.
	if _, err := os.Stat(filepath.Join(into, "var/cache/cracklib/cracklib_dict.pwd")); err != nil {
		return fmt.Errorf("cannot find cracklib's dictionary: %w", err)
	}
	return nil
}

// privately runs a command in its own mount and process namespaces. debootstrap mounts /proc and
// /sys in the tree, and if it is killed they stay mounted; removing the tree later would delete
// through those mounts. What a package starts in spite of all ends with the command.
func privately(ctx context.Context, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, "unshare", append([]string{"--mount-proc", "--pid", "--fork", "--kill-child", "--"}, args...)...)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	command.WaitDelay = 5 * time.Second
	return command
}

// phases are the first lines of debootstrap's and apt-get's stages, and the messages for them.
var phases = []struct{ line, told string }{
	{"I: Retrieving Packages", "reading the archive's index"},
	{"I: Retrieving libacl1", "fetching packages"},
	{"I: Extracting", "unpacking"},
	{"I: Unpacking the base system", "installing"},
	{"I: Configuring the base system", "configuring"},
	{"Get:", "fetching packages"},
	{"Unpacking", "unpacking"},
	{"Setting up", "configuring"},
}

// follow runs the command, reports its phases, and puts its name and last lines into the error.
func follow(name string, command *exec.Cmd, progress io.Writer) error {
	reader, writer := io.Pipe()
	command.Stdout, command.Stderr = writer, writer
	tail := make(chan []string, 1)
	go func() { tail <- lastLines(reader, progress) }()
	err := command.Run()
	_ = writer.Close()
	last := <-tail
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, strings.Join(last, "\n"))
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
