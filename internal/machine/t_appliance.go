package machine

import (
	"context"
	"strings"
)

// Build builds the project's programs, once a process; InstallShadowsync does it too.
func Build(tb TB) {
	tb.Helper()
	if err := buildProject(); err != nil {
		tb.Fatalf("%v", err)
	}
}

// InstallShadowsync installs the project's programs, starting and enabling nothing.
func (m *T) InstallShadowsync() { m.tb.Helper(); Build(m.tb); m.step(m.Machine.InstallShadowsync) }

// InstallAppliance installs and starts the seed's appliance.
func (m *T) InstallAppliance(appliance Appliance) {
	m.tb.Helper()
	m.step(func(ctx context.Context) error { return m.Machine.InstallAppliance(ctx, appliance) })
}

// Configure writes the appliance's configuration, in which edits, pairs of old and new,
// are made.
func (m *T) Configure(edits ...string) {
	m.tb.Helper()
	m.WriteFile(ConfigurationPath, strings.NewReplacer(edits...).Replace(Configuration), 0o600)
}

// Etc is /etc as it is: kinds, modes, owners, sizes, contents, targets of links.
// shadow(5)'s own content is no wiring; the appliance may write it at any time.
func (m *T) Etc() string {
	m.tb.Helper()
	return m.MustShell(`cd /etc && find . -printf '%p %y %m %u:%g %l\n' | sort; find . -type f ! -name shadow ! -name shadow- -print0 | sort -z | xargs -0 sha256sum`)
}

// Guarded tells whether systemd holds the appliance's unit back.
func (m *T) Guarded() bool {
	m.tb.Helper()
	return m.Must("systemctl", "show", "-P", "RefuseManualStop", ApplianceUnit) == "yes\n"
}

// ShadowHash returns field 2 of the account's line in shadow(5).
func (m *T) ShadowHash(account string) string {
	m.tb.Helper()
	return m.text(func(ctx context.Context) (string, error) { return m.Machine.ShadowHash(ctx, account) })
}

// StoreHash returns the account's password in the appliance's store file.
func (m *T) StoreHash(account string) string {
	m.tb.Helper()
	return m.text(func(ctx context.Context) (string, error) { return m.Machine.StoreHash(ctx, account) })
}

// AskAppliance speaks to the appliance's own user interface: "set", name, hash; or "list".
func (m *T) AskAppliance(words ...string) string {
	m.tb.Helper()
	return m.text(func(ctx context.Context) (string, error) { return m.Machine.AskAppliance(ctx, words...) })
}

func (m *T) text(ask func(ctx context.Context) (string, error)) string {
	m.tb.Helper()
	var answer string
	m.step(func(ctx context.Context) (err error) {
		answer, err = ask(ctx)
		return err
	})
	return answer
}
