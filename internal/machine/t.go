package machine

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"time"
)

// Patience bounds every step of a test that states no time of its own. It is
// generous, for two cores may be shared by several booting machines.
const Patience = 60 * time.Second

// TB is the part of testing.TB that is used: programs do not link package
// testing, and one that tells a story step by step can stand in for a test.
type TB interface {
	Helper()
	Cleanup(func())
	Context() context.Context
	Failed() bool
	Logf(format string, args ...any)
	Skipf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// T is a machine of a test: what goes wrong with the machine ends the test. A
// command's exit status is the test's to judge, but for the Must methods.
type T struct {
	*Machine
	tb TB
}

// Need skips the test where machines cannot be booted, saying what is missing.
func Need(tb TB) {
	tb.Helper()
	if err := Available(); err != nil {
		tb.Skipf("%v", err)
	}
}

// Boot boots a fresh machine that ends with the test. It skips as Need does.
// A test that failed logs the end of the machine's journal.
func Boot(tb TB, release Release) *T {
	tb.Helper()
	return BootWith(tb, release, Options{})
}

// BootWith is Boot with options.
func BootWith(tb TB, release Release, options Options) *T {
	tb.Helper()
	Need(tb)
	// A first boot may have to build the base tree, or to wait for who builds it.
	ctx, cancel := context.WithTimeout(tb.Context(), 10*time.Minute)
	defer cancel()
	core, err := New(ctx, release, options)
	if err != nil {
		tb.Fatalf("%v", err)
	}
	m := &T{Machine: core, tb: tb}
	tb.Cleanup(m.end)
	return m
}

func (m *T) end() {
	m.tb.Helper()
	if m.tb.Failed() && m.Running() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		result, _ := m.Machine.Exec(ctx, Shell("journalctl --no-pager -o short-monotonic | tail -60"))
		m.tb.Logf("the machine's journal ends:\n%s", result.Stdout)
	}
	if err := m.Machine.Close(); err != nil {
		m.tb.Logf("%v", err)
	}
}

func (m *T) context(patience time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(m.tb.Context(), patience, errors.New("not within "+patience.String()))
}

// step runs one act on the machine within Patience and ends the test if it fails.
func (m *T) step(act func(ctx context.Context) error) {
	m.tb.Helper()
	ctx, cancel := m.context(Patience)
	defer cancel()
	if err := act(ctx); err != nil {
		m.tb.Fatalf("%v", err)
	}
}

// Reboot restarts the machine in order.
func (m *T) Reboot() { m.tb.Helper(); m.step(m.Machine.Reboot) }

// PowerOff shuts the machine down in order.
func (m *T) PowerOff() { m.tb.Helper(); m.step(m.Machine.PowerOff) }

// PowerOn boots the machine again.
func (m *T) PowerOn() { m.tb.Helper(); m.step(m.Machine.PowerOn) }

// Kill is a power loss.
func (m *T) Kill() {
	m.tb.Helper()
	m.step(func(context.Context) error { return m.Machine.Kill() })
}

// AwaitBoot waits for a life of the machine, as Machine.AwaitBoot.
func (m *T) AwaitBoot(number int) {
	m.tb.Helper()
	m.step(func(ctx context.Context) error { return m.Machine.AwaitBoot(ctx, number) })
}

// WriteFile writes a file as root, on or off.
func (m *T) WriteFile(path, data string, mode fs.FileMode) {
	m.tb.Helper()
	m.step(func(ctx context.Context) error { return m.Machine.WriteFile(ctx, path, []byte(data), mode) })
}

// ReadFile reads a file as root, on or off.
func (m *T) ReadFile(path string) string {
	m.tb.Helper()
	var data []byte
	m.step(func(ctx context.Context) (err error) {
		data, err = m.Machine.ReadFile(ctx, path)
		return err
	})
	return string(data)
}

// CopyIn copies a file of the host to the machine.
func (m *T) CopyIn(hostPath, path string, mode fs.FileMode) {
	m.tb.Helper()
	m.step(func(ctx context.Context) error { return m.Machine.CopyIn(ctx, hostPath, path, mode) })
}

// AddUser adds a user with a password.
func (m *T) AddUser(name, password string) {
	m.tb.Helper()
	m.step(func(ctx context.Context) error { return m.Machine.AddUser(ctx, name, password) })
}

// Login tells whether the password opens a real ssh login.
func (m *T) Login(user, password string) bool {
	m.tb.Helper()
	var opened bool
	m.step(func(ctx context.Context) (err error) {
		opened, err = m.Machine.Login(ctx, user, password)
		return err
	})
	return opened
}

// Journal returns the journal as journalctl(1) with these arguments prints it.
func (m *T) Journal(args ...string) string {
	m.tb.Helper()
	return m.Must(append([]string{"journalctl", "--no-pager"}, args...)...)
}

// WaitFor polls until the condition holds; else the test ends, naming what was waited for.
func (m *T) WaitFor(what string, patience time.Duration, condition func() bool) {
	m.tb.Helper()
	ctx, cancel := m.context(patience)
	defer cancel()
	for !condition() {
		select {
		case <-ctx.Done():
			m.tb.Fatalf("waited for %s: %v", strings.TrimSpace(what), context.Cause(ctx))
		case <-time.After(10 * time.Millisecond):
		}
	}
}
