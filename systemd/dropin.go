package systemd

import (
	"fmt"
	"path/filepath"
	"strings"
)

// StartPolicy says what happens to the application when the merge before its
// start fails.
type StartPolicy string

// The policies: an appliance that stays down over a password is mostly worse.
const (
	PolicyStart  StartPolicy = "start"  // it starts nevertheless
	PolicyRefuse StartPolicy = "refuse" // its start fails
)

// CheckUnit tells why name cannot be an application's unit. What passes is safe
// as a file name and in a unit file.
func CheckUnit(name string) error {
	stem, ok := strings.CutSuffix(name, ".service")
	if !ok {
		return fmt.Errorf("%q is not the name of a service: it does not end in .service", name)
	}
	if stem == "" || stem[0] == '.' || stem[0] == '@' || strings.HasSuffix(stem, "@") || len(name) > 200 {
		return fmt.Errorf("%q is not the name of a service that can be started", name)
	}
	// systemd.unit(5): what else a name may hold, it holds as \xNN.
	const others = `:-_.\@`
	for _, r := range stem {
		if !isAlnum(r) && !strings.ContainsRune(others, r) {
			return fmt.Errorf("%q is not the name of a service: it holds %q", name, r)
		}
	}
	return nil
}

func isAlnum(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

// DropInPath is where an application's hooks belong, beneath the folder etc
// (normally "/etc").
func DropInPath(etc, unit string) string {
	return filepath.Join(etc, "systemd/system", unit+".d", "50-shadowsync.conf")
}

// DropIn is the text that puts our hooks around an application's unit.
//
// Before each start runs shadowsync-start@: an ExecStartPre= of a drop-in would run
// after the application's own, which may already be what rewrites the OS. After the
// stop, ExecStopPost= runs when no process of the application is left to dump its
// memory. The prefix "-" lets the application start and stop with our program gone,
// "+" keeps its sandbox and user from our hooks.
func DropIn(policy StartPolicy, binary string) (string, error) {
	if err := checkBinary(binary); err != nil {
		return "", err
	}
	pull, ok := map[StartPolicy]string{PolicyStart: "Wants", PolicyRefuse: "Requires"}[policy]
	if !ok {
		return "", fmt.Errorf("%q is no policy for starts; there are %q and %q", policy, PolicyStart, PolicyRefuse)
	}
	return fmt.Sprintf(dropIn, pull, binary), nil
}

const dropIn = `# Written by "shadowsync setup"; "shadowsync remove" takes it away again.
# Passwords changed on this machine reach the application's credential store before
# it starts, and are put right again after it started or stopped.
[Unit]
%[1]s=shadowsync-start@%%N.service
After=shadowsync-start@%%N.service

[Service]
ExecStartPost=-+%[2]s hook post-start --unit %%n
ExecStopPost=-+%[2]s hook post-stop --unit %%n
`
