package machine

import (
	"context"
	"errors"
	"flag"
	"io/fs"
	"time"

	"github.com/shadowsync/shadowsync/internal/test/eventually"
)

// Patience limits every step of a test that sets no limit of its own, and waits for events that a
// machine brings by itself. It is generous, because several booting machines may share two cores:
// only a test that fails waits for as long.
const Patience = 2 * time.Minute

// TB is the used part of testing.TB. Programs do not link package testing, so one that plays a test
// step by step can implement TB.
type TB interface {
	Helper()
	Cleanup(func())
	Context() context.Context
	Failed() bool
	Logf(format string, args ...any)
	Skipf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// T is a machine for tests: an error of the machine ends the test. The test itself checks a
// command's exit status, except with the Must methods.
type T struct {
	*Machine
	tb TB
}

// Need skips the test if machines cannot be booted, and says what is missing. It also skips it in a
// short run ("go test -short").
func Need(tb TB) {
	tb.Helper()
	if short() {
		tb.Skipf("a short run boots no machine")
	}
	if err := Available(); err != nil {
		tb.Skipf("%v", err)
	}
}

// short is testing.Short for programs that do not link package testing.
func short() bool {
	given := flag.Lookup("test.short")
	return given != nil && given.Value.String() == "true"
}

// Boot boots a fresh machine that ends with the test. It skips the test as Need does. If the test
// fails, it logs the end of the machine's journal.
func Boot(tb TB, release Release) *T {
	tb.Helper()
	return BootWith(tb, release, Options{})
}

// BootWith is Boot with options.
func BootWith(tb TB, release Release, options Options) *T {
	tb.Helper()
	Need(tb)
	hostPace.enter()
	tb.Cleanup(hostPace.leave) // after the machine's own end
	// The first boot may have to build the base tree, or wait for a process that builds it.
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

// step runs one action on the machine within Patience and ends the test if it fails.
func (m *T) step(act func(ctx context.Context) error) {
	m.tb.Helper()
	ctx, cancel := m.context(Patience)
	defer cancel()
	if err := act(ctx); err != nil {
		m.tb.Fatalf("%v", err)
	}
}

// Reboot restarts the machine cleanly.
func (m *T) Reboot() { m.tb.Helper(); m.step(m.Machine.Reboot) }

// PowerOff shuts the machine down cleanly.
func (m *T) PowerOff() { m.tb.Helper(); m.step(m.Machine.PowerOff) }

// PowerOn boots the machine again.
func (m *T) PowerOn() { m.tb.Helper(); m.step(m.Machine.PowerOn) }

// Kill simulates a power loss.
func (m *T) Kill() {
	m.tb.Helper()
	m.step(func(context.Context) error { return m.Machine.Kill() })
}

// Twin makes a second machine, for another test, with the disk as it is at this instant, as Machine.Twin does.
// PowerOn boots it.
func (m *T) Twin(tb TB) *T {
	tb.Helper()
	ctx, cancel := m.context(Patience)
	defer cancel()
	core, err := m.Machine.Twin(ctx)
	if err != nil {
		tb.Fatalf("%v", err)
	}
	twin := &T{Machine: core, tb: tb}
	tb.Cleanup(twin.end)
	return twin
}

// AwaitBoot waits for a boot of the machine, as Machine.AwaitBoot does.
func (m *T) AwaitBoot(number int) {
	m.tb.Helper()
	m.step(func(ctx context.Context) error { return m.Machine.AwaitBoot(ctx, number) })
}

// WriteFile writes a file as root, whether the machine is on or off.
func (m *T) WriteFile(path, data string, mode fs.FileMode) {
	m.tb.Helper()
	m.step(func(ctx context.Context) error { return m.Machine.WriteFile(ctx, path, []byte(data), mode) })
}

// ReadFile reads a file as root, whether the machine is on or off.
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

// Login reports whether the password opens a real ssh login.
func (m *T) Login(user, password string) bool {
	m.tb.Helper()
	var opened bool
	m.step(func(ctx context.Context) (err error) {
		opened, err = m.Machine.Login(ctx, user, password)
		return err
	})
	return opened
}

// Journal returns the output of journalctl(1) with these arguments, with all that was sent to
// journald before.
func (m *T) Journal(args ...string) string {
	m.tb.Helper()
	m.Must("journalctl", "--sync")
	return m.Must(append([]string{"journalctl", "--no-pager"}, args...)...)
}

// WaitFor polls until the condition holds. After patience it ends the test and names what.
func (m *T) WaitFor(what string, patience time.Duration, condition func() bool) {
	m.tb.Helper()
	eventually.Within(m.tb, patience, what, condition)
}
