package machine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// exitReboot is systemd-nspawn's exit status when the machine asked for a reboot
// (EXIT_FORCE_RESTART in systemd's exit-status.h). With --keep-unit it leaves the restart to its
// supervisor, which is this package.
const exitReboot = 133

// A boot is one run of a machine, from power on to power off.
type boot struct {
	number  int // 1 for the first
	command *exec.Cmd
	leader  int           // the host's pid of the machine's process 1; valid once born is closed
	born    chan struct{} // closed when process 1 runs and its namespaces can be joined
	ready   chan struct{} // closed when start-up has finished
	ended   chan struct{} // closed when no process of this boot runs any more
}

// nspawnArguments grant what a real machine has but a container lacks: locked memory, BPF, key
// rings and fanotify for its services.
func (m *Machine) nspawnArguments() []string {
	return []string{
		"--quiet", "--directory=" + m.disk.root, "--machine=" + m.name,
		"--boot", "--keep-unit", "--register=no", "--notify-ready=yes", "--private-network", "--console=pipe",
		"--resolv-conf=off", "--timezone=off", "--link-journal=no",
		"--capability=CAP_IPC_LOCK,CAP_BPF,CAP_PERFMON,CAP_SYSLOG",
		"--system-call-filter=fanotify_init fanotify_mark bpf perf_event_open memfd_secret " +
			"name_to_handle_at open_by_handle_at @keyring @memlock",
	}
}

// launch starts a boot. The caller holds m.mu.
func (m *Machine) launch() (*boot, error) {
	if err := m.cgroup.renew(); err != nil {
		return nil, err
	}
	news, err := m.listen()
	if err != nil {
		return nil, err
	}
	b := &boot{number: 1, born: make(chan struct{}), ready: make(chan struct{}), ended: make(chan struct{})}
	if m.current != nil {
		b.number = m.current.number + 1
	}
	if b.command, err = m.startNspawn(); err != nil {
		return nil, errors.Join(err, news.Close())
	}
	go b.follow(news)
	go m.supervise(b, news)
	m.current = b
	close(m.changed)
	m.changed = make(chan struct{})
	return b, nil
}

// listen opens the socket on which systemd-nspawn reports its state, as a service manager would.
func (m *Machine) listen() (*net.UnixConn, error) {
	path := m.notifySocket()
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("cannot clear a machine's notify socket: %w", err)
	}
	news, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("cannot listen to a machine: %w", err)
	}
	return news, nil
}

func (m *Machine) notifySocket() string { return filepath.Join(m.disk.home, "notify") }

func (m *Machine) startNspawn() (*exec.Cmd, error) {
	console, err := os.Create(filepath.Join(m.disk.home, "console"))
	if err != nil {
		return nil, fmt.Errorf("cannot open a machine's console: %w", err)
	}
	defer console.Close()
	group, err := m.cgroup.open("")
	if err != nil {
		return nil, err
	}
	defer group.Close()
	command := exec.Command("systemd-nspawn", m.nspawnArguments()...)
	command.Env = []string{
		"PATH=" + machinePath, "NOTIFY_SOCKET=" + m.notifySocket(),
		// systemd 257 refuses version 1 of cgroups, which a host may still use.
		"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1",
	}
	command.Stdout, command.Stderr = console, console
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, UseCgroupFD: true, CgroupFD: int(group.Fd())}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("cannot start systemd-nspawn: %w", err)
	}
	return command, nil
}

// follow reads the reports: first the pid of process 1 and later, from the machine's own systemd,
// that it is up. It reads until this boot ends: systemd 257 also reports the progress of a
// shutdown, and systemd-nspawn blocks in sendmsg(2) while the queue is full.
func (b *boot) follow(news *net.UnixConn) {
	packet := make([]byte, 4096)
	for {
		n, err := news.Read(packet)
		if err != nil {
			return
		}
		for line := range strings.Lines(string(packet[:n])) {
			switch name, value, _ := strings.Cut(strings.TrimSpace(line), "="); {
			case name == "X_NSPAWN_LEADER_PID":
				b.leader, _ = strconv.Atoi(value)
				close(b.born)
			case name == "READY" && value == "1" && !isClosed(b.ready): // sent after each daemon-reload too
				close(b.ready)
			}
		}
	}
}

// supervise waits for the end of a boot and starts the next one if the machine asked for it.
func (m *Machine) supervise(b *boot, news *net.UnixConn) {
	_ = b.command.Wait()
	_ = news.Close()
	m.mu.Lock()
	defer m.mu.Unlock()
	close(b.ended)
	if b.command.ProcessState.ExitCode() == exitReboot && !m.held {
		if _, err := m.launch(); err != nil {
			fmt.Fprintln(os.Stderr, "machine:", err)
		}
	}
}

// await returns when b's start-up has finished.
func (m *Machine) await(ctx context.Context, b *boot) error {
	select {
	case <-b.ready:
		return nil
	case <-b.ended:
		return fmt.Errorf("cannot boot a machine: %s; its console:\n%s", b.command.ProcessState, m.disk.console())
	case <-ctx.Done():
		return fmt.Errorf("cannot boot a machine: %w; its console:\n%s", context.Cause(ctx), m.disk.console())
	}
}
