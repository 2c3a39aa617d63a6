package policy

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/shadowsync/shadowsync/internal/password/pamstack"
)

// judges are the modules that judge passwords, each with the options that make it judge root's too
// and ask only once.
var judges = map[string][]string{
	"pam_pwquality.so": {"retry=1", "enforce_for_root"},
	"pam_cracklib.so":  {"retry=1", "enforce_for_root"},
	"pam_passwdqc.so":  {"retry=1", "enforce=everyone"},
}

// replaced are options that machineLine removes: they make the line rely on a module before it, or
// are set anew.
var replaced = []string{"retry=", "enforce=", "enforce_for_root", "use_authtok", "use_first_pass", "try_first_pass", "authtok_type="}

// machineLine returns the line of the machine's stack that judges new passwords, ready for a stack
// of its own; empty: the machine has no such rule.
func machineLine(root string) (string, error) {
	lines, err := pamstack.Passwd(root)
	if err != nil {
		return "", fmt.Errorf("cannot read the machine's password rules: %w", err)
	}
	line, found := pamstack.First(lines, func(l pamstack.Line) bool { return judges[l.Module] != nil })
	if !found {
		return "", nil
	}
	options := slices.DeleteFunc(slices.Clone(line.Args), func(option string) bool {
		return slices.ContainsFunc(replaced, func(prefix string) bool { return strings.HasPrefix(option, prefix) })
	})
	return strings.Join(slices.Concat([]string{"password requisite", line.Path}, options, judges[line.Module]), " "), nil
}

// service is the name of the private stack.
const service = "shadowsync-policy"

// writeStack creates a folder inside another one, with a stack that judges and stores nothing.
func writeStack(within, line string) (string, error) {
	dir, err := os.MkdirTemp(within, "shadowsync-policy-") // 0700
	if err != nil {
		return "", err
	}
	// libpam requires the service's other types, and a file "other".
	rest := "password required pam_permit.so\nauth required pam_deny.so\naccount required pam_deny.so\nsession required pam_deny.so\n"
	err = errors.Join(
		os.WriteFile(filepath.Join(dir, service), []byte(line+"\n"+rest), 0o600),
		os.WriteFile(filepath.Join(dir, "other"), []byte(strings.ReplaceAll(rest, "permit", "deny")), 0o600),
	)
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	return dir, nil
}
