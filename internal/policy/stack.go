package policy

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// stacks are where the password modules of passwd(1) stand, as in package crypt:
// Debian's file, and Fedora's two. The first that is there counts.
var stacks = []string{"etc/pam.d/common-password", "etc/pam.d/system-auth", "etc/pam.d/password-auth"}

// judges are the modules that judge passwords, and how each is told that root's
// count too, and not to ask again.
var judges = map[string][]string{
	"pam_pwquality.so": {"retry=1", "enforce_for_root"},
	"pam_cracklib.so":  {"retry=1", "enforce_for_root"},
	"pam_passwdqc.so":  {"retry=1", "enforce=everyone"},
}

// replaced are options of such a line that would make it rely on a module before
// it, or that are given anew.
var replaced = []string{"retry=", "enforce=", "enforce_for_root", "use_authtok", "use_first_pass", "try_first_pass", "authtok_type="}

// machineLine is the line of the machine's stack that judges new passwords, ready
// for a stack of its own; empty: the machine has no such rule.
func machineLine(root string) (string, error) {
	for _, name := range stacks {
		text, err := os.ReadFile(filepath.Join(root, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("cannot read the machine's password rules: %w", err)
		}
		return judgingLine(string(text)), nil
	}
	return "", nil
}

func judgingLine(text string) string {
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		line, _, _ = strings.Cut(line, "#")
		words := split(line)
		if len(words) < 3 || !strings.EqualFold(strings.TrimPrefix(words[0], "-"), "password") {
			continue
		}
		extra, ok := judges[path.Base(words[2])]
		if !ok {
			continue
		}
		options := slices.DeleteFunc(words[3:], func(option string) bool {
			return slices.ContainsFunc(replaced, func(prefix string) bool { return strings.HasPrefix(option, prefix) })
		})
		return strings.Join(slices.Concat([]string{"password requisite", words[2]}, options, extra), " ")
	}
	return ""
}

// split cuts a line into words; what is in brackets is one of them.
func split(line string) (words []string) {
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		end := strings.IndexAny(line, " \t")
		if line[0] == '[' {
			if end = strings.IndexByte(line, ']') + 1; end == 0 {
				end = -1
			}
		}
		if end < 0 {
			end = len(line)
		}
		words, line = append(words, line[:end]), line[end:]
	}
	return words
}

// service is the name of the private stack.
const service = "shadowsync-policy"

// writeStack makes a folder, in another one, with a stack that judges and stores nothing.
func writeStack(within, line string) (string, error) {
	dir, err := os.MkdirTemp(within, "shadowsync-policy-") // 0700
	if err != nil {
		return "", err
	}
	// libpam needs the service's other types, and a file "other", to be there.
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
