package machine

import (
	"context"
	"errors"
	"fmt"
)

// ErrOff means that an operation needs a running machine.
var ErrOff = errors.New("the machine is powered off")

// PowerOn boots a machine that is off and returns when its start-up has finished.
func (m *Machine) PowerOn(ctx context.Context) error {
	m.mu.Lock()
	if m.current != nil && !isClosed(m.current.ended) {
		m.mu.Unlock()
		return errors.New("cannot power on a machine: it is on")
	}
	m.held = false
	b, err := m.launch()
	m.mu.Unlock()
	if err != nil {
		return err
	}
	return m.await(ctx, b)
}

// PowerOff shuts the machine down cleanly, as systemctl poweroff does.
func (m *Machine) PowerOff(ctx context.Context) error {
	b, err := m.life()
	if err != nil {
		return err
	}
	if err := m.systemctl(ctx, "poweroff"); err != nil {
		return err
	}
	select {
	case <-b.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("cannot power off a machine: %w; its console:\n%s", context.Cause(ctx), m.disk.console())
	}
}

// Reboot restarts the machine cleanly and returns when its start-up has finished.
func (m *Machine) Reboot(ctx context.Context) error {
	next := m.Boots() + 1
	if err := m.systemctl(ctx, "reboot"); err != nil {
		return err
	}
	return m.AwaitBoot(ctx, next)
}

// Kill simulates a power loss: every process ends at the same instant. The machine stays off until
// PowerOn.
func (m *Machine) Kill() error {
	m.mu.Lock()
	m.held = true // a reboot in progress ends here too
	b := m.current
	m.mu.Unlock()
	if err := m.cgroup.kill(); err != nil {
		return err
	}
	if b != nil {
		<-b.ended
	}
	return nil
}

// Boots counts the machine's boots so far.
func (m *Machine) Boots() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.current.number
}

// AwaitBoot returns when the boot of that number has finished its start-up, regardless of who asked
// for it.
func (m *Machine) AwaitBoot(ctx context.Context, number int) error {
	for {
		m.mu.Lock()
		b, changed := m.current, m.changed
		m.mu.Unlock()
		if b.number >= number {
			return m.await(ctx, b)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("cannot see the machine reboot: %w; its console:\n%s", context.Cause(ctx), m.disk.console())
		}
	}
}

// Running reports whether the machine is on; it may still be starting.
func (m *Machine) Running() bool {
	_, err := m.life()
	return err == nil
}

// life returns the current boot of a machine whose process 1 runs.
func (m *Machine) life() (*boot, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.current == nil || !isClosed(m.current.born) || isClosed(m.current.ended) {
		return nil, ErrOff
	}
	return m.current, nil
}

func (m *Machine) systemctl(ctx context.Context, verb string) error {
	if _, err := m.do(ctx, Command{Args: []string{"systemctl", verb}}); err != nil {
		return fmt.Errorf("cannot %s a machine: %w", verb, err)
	}
	return nil
}

func isClosed(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}
