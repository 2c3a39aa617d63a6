package machine_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

const newPassword = "Trubador-Gneis-81"

// This is the loss that shadowsync prevents: root's new password works until the application
// restarts, and then the lost password is back.
func TestTheApplianceBringsTheLostPasswordBack(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"usermod", "chpasswd"} {
		t.Run(tool, func(t *testing.T) {
			t.Parallel()
			eachRelease(t, func(t *testing.T, m *machine.T) {
				m.InstallAppliance(machine.Appliance{Tool: tool})
				if !m.Login("admin", machine.OldPassword) {
					t.Fatal("the old password opens nothing to begin with")
				}
				m.Input(newPassword+"\n"+newPassword+"\n").Must("passwd", "admin")
				if !m.Login("admin", newPassword) {
					t.Fatal("passwd did not set the new password")
				}
				m.Must("systemctl", "restart", machine.ApplianceUnit)
				if m.Login("admin", newPassword) {
					t.Error("the new password survived the restart")
				}
				if !m.Login("admin", machine.OldPassword) {
					t.Error("the old password did not come back")
				}
			})
		})
	}
}

// A change by another program to the store is lost when the appliance dumps its memory.
func TestTheApplianceDumpsItsMemory(t *testing.T) {
	t.Parallel()
	machine.Need(t)
	tests := []struct {
		name      string
		appliance machine.Appliance
		provoke   func(m *machine.T)
	}{
		{"while it stops", machine.Appliance{}, func(m *machine.T) { m.Must("systemctl", "stop", machine.ApplianceUnit) }},
		{"again and again", machine.Appliance{DumpEvery: 100 * time.Millisecond}, func(*machine.T) {}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m := machine.Boot(t, machine.Bookworm)
			m.InstallAppliance(test.appliance)
			before := m.ShadowHash("admin")
			m.WriteFile(machine.StorePath, strings.Replace(m.ReadFile(machine.StorePath), before, "$6$other$hash", 1), 0o600)
			test.provoke(m)
			m.WaitFor("the dump", machine.Patience, func() bool { return m.StoreHash("admin") == before })
			stat := m.Must("stat", "-c", "%U:%G %a", machine.StorePath)
			if want := machine.StoreOwner + ":" + machine.StoreOwner + " 600\n"; stat != want {
				t.Errorf("the store is %s, want %s", stat, want)
			}
			if text := m.ReadFile(machine.StorePath); !strings.Contains(text, "9007199254740993") || !strings.Contains(text, "monitor") {
				t.Errorf("the dump lost something:\n%s", text)
			}
		})
	}
}

func TestTheAppliancesOwnInterface(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t, machine.Trixie)
	m.InstallAppliance(machine.Appliance{})
	before := m.ShadowHash("admin")
	m.AskAppliance("set", "admin", "$6$other$hash")
	if got := m.StoreHash("admin"); got != "$6$other$hash" {
		t.Errorf("the store holds %q", got)
	}
	if m.ShadowHash("admin") != before {
		t.Error("the OS changed before a restart")
	}
	if list := m.AskAppliance("list"); !strings.Contains(list, "admin $6$other$hash\n") {
		t.Errorf("list: %s", list)
	}
	m.Must("systemctl", "restart", machine.ApplianceUnit)
	if got := m.ShadowHash("admin"); got != "$6$other$hash" {
		t.Errorf("after a restart the OS holds %q", got)
	}
}

// A crash loses the memory without a dump; the next start reads the store.
func TestTheApplianceCrashes(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t, machine.Bookworm)
	m.InstallAppliance(machine.Appliance{CrashAfter: 300 * time.Millisecond, Restart: "always"})
	m.WaitFor("three restarts", machine.Patience, func() bool {
		count, _ := strconv.Atoi(strings.TrimSpace(m.Must("systemctl", "show", "-P", "NRestarts", machine.ApplianceUnit)))
		return count >= 3
	})
	before := m.ShadowHash("admin")
	m.WriteFile(machine.StorePath, strings.Replace(m.ReadFile(machine.StorePath), before, "$6$other$hash", 1), 0o600)
	m.WaitFor("the store's hash in the OS", machine.Patience, func() bool { return m.ShadowHash("admin") == "$6$other$hash" })
}
