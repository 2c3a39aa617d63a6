package machine_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// roleVariable selects another role for this test program when it runs itself.
const roleVariable = "SHADOWSYNC_MACHINE_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "probe":
		if err := probe(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	case "orphan":
		os.Exit(orphan())
	case "host":
		os.Exit(host())
	}
	os.Exit(m.Run())
}

// probe tries the system calls that a service on a real machine may use.
func probe() error {
	notify, err := unix.FanotifyInit(unix.FAN_CLASS_NOTIF|unix.FAN_REPORT_DFID_NAME|unix.FAN_REPORT_PIDFD|unix.FAN_CLOEXEC, unix.O_RDONLY)
	errs := []error{named("fanotify_init", err)}
	err = unix.FanotifyMark(notify, unix.FAN_MARK_ADD|unix.FAN_MARK_FILESYSTEM, unix.FAN_MOVED_TO|unix.FAN_ONDIR, unix.AT_FDCWD, "/etc")
	errs = append(errs, named("fanotify_mark", err))
	memory, err := unix.MemfdCreate("probe", unix.MFD_ALLOW_SEALING|unix.MFD_CLOEXEC)
	errs = append(errs, named("memfd_create", err))
	_, err = unix.FcntlInt(uintptr(memory), unix.F_ADD_SEALS, unix.F_SEAL_WRITE|unix.F_SEAL_SEAL)
	errs = append(errs, named("F_ADD_SEALS", err), named("mlockall", unix.Mlockall(unix.MCL_CURRENT)))
	_, _, err = unix.NameToHandleAt(unix.AT_FDCWD, "/etc/shadow", 0)
	errs = append(errs, named("name_to_handle_at", err))
	_, err = unix.InotifyInit1(unix.IN_CLOEXEC)
	errs = append(errs, named("inotify_init1", err))
	return errors.Join(errs...)
}

func named(call string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", call, err)
	}
	return nil
}

func TestServicesHaveARealMachinesRights(t *testing.T) {
	t.Parallel()
	eachRelease(t, func(t *testing.T, m *machine.T) {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		m.CopyIn(self, "/usr/local/bin/probe", 0o755)
		if result := m.Run("systemd-run", "--quiet", "--pipe", "--wait", "--setenv="+roleVariable+"=probe", "/usr/local/bin/probe"); result.Code != 0 {
			t.Errorf("a service may not: %s", result)
		}
	})
}

// Each sandbox setting must take effect, not just be accepted.
func TestSandboxesAreReal(t *testing.T) {
	t.Parallel()
	settings := []string{
		"ProtectSystem=strict", "DynamicUser=yes", "PrivateNetwork=yes", "PrivateMounts=yes", "ProtectProc=invisible",
		"PrivateDevices=yes", "ProtectHome=yes", "SystemCallFilter=@system-service", "StateDirectory=probe", "NoNewPrivileges=yes",
		"ProtectKernelTunables=yes", "ProtectControlGroups=yes", "RestrictNamespaces=yes", "LoadCredential=key:/etc/hostname",
	}
	const script = `id -u
touch /usr/denied 2>/dev/null && echo wrote to /usr
touch /var/lib/probe/allowed || echo no state directory
test -r /proc/1/status && echo sees process 1
unshare --user true 2>/dev/null && echo made a namespace
cat "$CREDENTIALS_DIRECTORY/key"`
	eachRelease(t, func(t *testing.T, m *machine.T) {
		args := []string{"systemd-run", "--quiet", "--pipe", "--wait"}
		for _, setting := range settings {
			args = append(args, "--property="+setting)
		}
		uid, rest, _ := strings.Cut(m.Must(append(args, "sh", "-c", script)...), "\n")
		if len(uid) != 5 || rest != "node1\n" {
			t.Errorf("in the sandbox, as uid %s: %q", uid, rest)
		}
	})
}

// BenchmarkBoot times a fresh machine, from nothing to systemd's "startup finished".
func BenchmarkBoot(b *testing.B) {
	machine.Need(b)
	for _, release := range machine.Releases {
		b.Run(string(release), func(b *testing.B) {
			for b.Loop() {
				m, err := machine.New(b.Context(), release, machine.Options{})
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := m.Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}
