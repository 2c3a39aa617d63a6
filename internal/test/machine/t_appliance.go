package machine

import (
	"context"
	"strings"
)

// InstallShadowsync installs the project's programs, but starts and enables nothing. The
// compilation has no time limit, because Patience is for the machine.
func (m *T) InstallShadowsync() {
	m.tb.Helper()
	if _, err := installation(); err != nil {
		m.tb.Fatalf("%v", err)
	}
	m.step(m.Machine.InstallShadowsync)
}

// InstallAppliance installs and starts the seed's appliance; here too, the compilation has no time
// limit.
func (m *T) InstallAppliance(appliance Appliance) {
	m.tb.Helper()
	if _, err := applianceBinary(); err != nil {
		m.tb.Fatalf("%v", err)
	}
	m.step(func(ctx context.Context) error { return m.Machine.InstallAppliance(ctx, appliance) })
}

// Configure writes the appliance's configuration with edits, pairs of old and new text.
func (m *T) Configure(edits ...string) {
	m.tb.Helper()
	m.WriteFile(ConfigurationPath, strings.NewReplacer(edits...).Replace(Configuration), 0o600)
}

// Etc describes /etc: kinds, modes, owners, contents, targets of links. It leaves out the content
// of shadow(5), which the appliance may write at any time.
func (m *T) Etc() string {
	m.tb.Helper()
	return m.MustShell(`cd /etc && find . -printf '%p %y %m %u:%g %l\n' | sort; find . -type f ! -name shadow ! -name shadow- -print0 | sort -z | xargs -0 sha256sum`)
}

// Guarded reports whether systemd refuses to stop the appliance's unit.
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

// AskAppliance sends a command to the appliance's own user interface: "set", name, hash; or "list".
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
