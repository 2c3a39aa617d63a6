package systemd

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// exposure is the bar for the broker's sandbox, in tenths.
const exposure = "17"

func TestWriteUnits(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lib/systemd/system")
	if err := WriteUnits(dir, "/opt/shadowsync/sbin/shadowsync"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{BrokerUnit, RootSocketUnit, OperatorSocketUnit, "shadowsync-start@.service"} {
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

// Each relaxation says why: a comment stands right above it.
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
	out, err := exec.Command("systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold="+exposure, "units/"+BrokerUnit).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestUnitsOnMachine(t *testing.T) {
	if !inside(t) {
		return
	}
	install(t)
	for _, unit := range []string{BrokerUnit, RootSocketUnit, OperatorSocketUnit, "shadowsync-start@128T.service"} {
		if out, _ := run(t, "systemd-analyze", "verify", "--man=no", unit); strings.Contains(out, "shadowsync") {
			t.Errorf("systemd-analyze verify %s:\n%s", unit, out)
		}
	}
	if out, code := run(t, "systemd-analyze", "security", "--no-pager", "--threshold="+exposure, BrokerUnit); code != 0 {
		t.Errorf("the broker's sandbox:\n%s", out)
	}
}
