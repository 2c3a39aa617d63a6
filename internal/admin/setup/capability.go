package setup

import (
	"context"
	"path/filepath"

	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/systemd"
)

// shadowPath is shadow(5). Its mode is 0640 on Debian and 0000 on Fedora.
const shadowPath = "/etc/shadow"

// capabilityPath is a drop-in for the broker's unit.
var capabilityPath = filepath.Join("/etc/systemd/system", systemd.BrokerUnit+".d", "50-shadow-mode.conf")

const capabilityText = `# Written by "shadowsync setup"; "shadowsync remove" takes it away again.
# /etc/shadow has a mode that does not let its owner, root, read it. The broker has no right
# to override that unless it needs it, as here.
[Service]
CapabilityBoundingSet=CAP_DAC_READ_SEARCH
`

// unreadable reports whether root needs CAP_DAC_READ_SEARCH to read /etc/shadow.
func (j *job) unreadable() (bool, error) {
	info, err := inroot.Stat(j.Root, shadowPath)
	return err == nil && info.Mode()&0o400 == 0, err
}

func (j *job) capabilityDue(ctx context.Context) (bool, error) {
	needed, err := j.unreadable()
	if err != nil {
		return false, err
	}
	_, known, err := j.ledger.find(ctx, capabilityPath)
	return needed != (known && j.exists(capabilityPath)), err
}

// setCapability gives the broker the capability, or removes it if it is no longer needed. A running
// broker keeps its capabilities, so it is stopped.
func (j *job) setCapability(ctx context.Context) error {
	needed, err := j.unreadable()
	if err != nil {
		return err
	}
	if needed {
		err = j.ledger.write(ctx, capabilityPath, []byte(capabilityText), 0o644)
	} else {
		err = j.takeBack(ctx, capabilityPath)
	}
	if err != nil || j.mounted() {
		return err
	}
	if err := j.bus.Reload(ctx); err != nil {
		return err
	}
	return j.bus.Stop(ctx, systemd.BrokerUnit) // its sockets, or a later step, start it
}
