package systemd

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// exposure is the maximum exposure of the broker's sandbox, in tenths (systemd-analyze security).
const exposure = "15"

func TestWriteUnits(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lib/systemd/system")
	if err := WriteUnits(dir, "/opt/shadowsync/sbin/shadowsync"); err != nil {
		t.Fatal(err)
	}
	for _, name := range append([]string{BrokerUnit, RootSocketUnit, OperatorSocketUnit, FactorSocketUnit, WebSocketUnit, WebUnit}, HookUnits("")...) {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), DefaultBinary) {
			t.Errorf("%s still names %s", name, DefaultBinary)
		}
	}
	broker, _ := os.ReadFile(filepath.Join(dir, BrokerUnit))
	if !strings.Contains(string(broker), "\nExecStart=/opt/shadowsync/sbin/shadowsync daemon\n") {
		t.Errorf("the broker's unit:\n%s", broker)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestUnitsRefuseOddPrograms(t *testing.T) {
	for _, path := range []string{"", "shadowsync", "/usr/../sbin/x", "/a b", "/a%n", `/a"`, "/a\nExecStart=/bin/sh", `/a\x20b`, "/a;b", "/$HOME"} {
		if _, err := Units(path); err == nil {
			t.Errorf("%q was taken", path)
		}
	}
}

// The hooks have the same sandbox, word for word, and take no environment from elsewhere.
func TestHooksShareOneSandbox(t *testing.T) {
	const head = "# The same sandbox for each hook."
	var first string
	for _, name := range HookUnits("") {
		text, err := unitFiles.ReadFile("units/" + name)
		if err != nil {
			t.Fatal(err)
		}
		_, box, found := strings.Cut(string(text), head)
		if first == "" {
			first = box
		}
		if second := name == RetryUnit("") || name == RecheckUnit(""); second == found || found && box != first {
			t.Errorf("%s has a sandbox of its own", name)
		}
		for _, needed := range []string{"UnsetEnvironment=LD_PRELOAD ", "NoNewPrivileges=yes", "CapabilityBoundingSet=CAP_", "ConditionFileIsExecutable=" + DefaultBinary, "StartLimitIntervalSec=0"} {
			if !strings.Contains(string(text), needed) {
				t.Errorf("%s lacks %s", name, needed)
			}
		}
		for _, inTmp := range []string{"\nPrivateDevices=", "\nPrivateTmp="} {
			if strings.Contains(string(text), inTmp) {
				t.Errorf("%s depends on /tmp: %s", name, strings.TrimSpace(inTmp))
			}
		}
	}
}

// A second try has the sandbox of the first, but for what systemd sets up before the program runs.
func TestASecondTryNeedsNothingSetUp(t *testing.T) {
	settings := func(unit string) (lines []string) {
		text, err := unitFiles.ReadFile("units/" + unit)
		if err != nil {
			t.Fatal(err)
		}
		_, box, _ := strings.Cut(string(text), "UnsetEnvironment=")
		for line := range strings.Lines(box) {
			if !strings.HasPrefix(line, "#") {
				lines = append(lines, strings.TrimSpace(line))
			}
		}
		return lines
	}
	var want []string
	for _, line := range settings(StartUnit("")) {
		name, _, _ := strings.Cut(line, "=")
		switch name {
		case "StateDirectory", "StateDirectoryMode", "RuntimeDirectory", "RuntimeDirectoryMode", "RuntimeDirectoryPreserve": // folders
		case "ProtectKernelTunables", "ProtectKernelModules", "ProtectKernelLogs", "ProtectControlGroups", "ProtectHostname": // namespaces
		case "MemoryMax", "TasksMax": // what may have killed the first
		default:
			want = append(want, line)
		}
	}
	for _, unit := range []string{RetryUnit(""), RecheckUnit("")} {
		if got := settings(unit); !slices.Equal(got, want) {
			t.Errorf("%s has\n%s\nwant\n%s", unit, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// Each relaxation is explained: a comment is directly above it.
func TestRelaxationsAreExplained(t *testing.T) {
	text, err := unitFiles.ReadFile("units/" + BrokerUnit)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for _, relaxed := range []string{
		"ReadWritePaths=/etc", "ReadWritePaths=/run/systemd/system", "RestrictAddressFamilies=AF_UNIX",
		"ProtectProc=default", "SystemCallFilter=@chown", "CapabilityBoundingSet=",
	} {
		found := false
		for i, line := range lines {
			if strings.HasPrefix(line, relaxed) {
				found = i > 0 && strings.HasPrefix(lines[i-1], "#")
			}
		}
		if !found {
			t.Errorf("%s has no comment above it, or is not there", relaxed)
		}
	}
}

func TestExposureHere(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("no systemd-analyze")
	}
	for unit, most := range map[string]string{BrokerUnit: exposure, WebUnit: webExposure} {
		out, err := exec.Command("systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold="+most, "units/"+unit).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", unit, err, out)
		}
	}
}

func TestUnitsOnMachine(t *testing.T) {
	if !inside(t) {
		return
	}
	install(t)
	for _, unit := range append([]string{BrokerUnit, RootSocketUnit, OperatorSocketUnit, FactorSocketUnit, WebSocketUnit, WebUnit}, HookUnits("128T")...) {
		if out, _ := run(t, "systemd-analyze", "verify", "--man=no", unit); strings.Contains(out, "shadowsync") {
			t.Errorf("systemd-analyze verify %s:\n%s", unit, out)
		}
	}
	if out, code := run(t, "systemd-analyze", "security", "--no-pager", "--threshold="+exposure, BrokerUnit); code != 0 {
		t.Errorf("the broker's sandbox:\n%s", out)
	}
}
