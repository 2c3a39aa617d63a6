package shadowfile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/shadowsync/shadowsync/shadowsync"
)

const passwdName = "passwd"

// SetShell gives an account of the system mounted at root another login shell, in passwd(5): in the line that
// getpwnam(3) finds there. It is usermod(8) for systems that are not running. usermod --root would run that system's
// name service modules, and usermod --prefix follows its symbolic links into the running system.
//
// Errors: ErrNoAccount; shadowsync.ErrUnavailable if the file's locks are not free before ctx ends.
func SetShell(ctx context.Context, root, name, shell string) (err error) {
	if strings.ContainsAny(shell, ":\n\x00") {
		return fmt.Errorf("cannot give %s the shell %q: passwd(5) cannot hold it", name, shell)
	}
	t, err := openTree(rootPath(root))
	if err != nil {
		return err
	}
	defer t.close()
	l, err := t.lock(ctx, passwdName)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.release()) }()
	old, content, err := t.readPlain(passwdName)
	if err != nil {
		return err
	}
	defer old.Close()
	lines := slices.Collect(strings.Lines(content))
	for i, raw := range lines {
		if p, ok := ParsePerson(raw); ok && p.Name == name {
			lines[i] = withShell(raw, shell)
			return l.replace(old, lines)
		}
	}
	return fmt.Errorf("%w in passwd(5): %s", shadowsync.ErrNoAccount, name)
}

// withShell replaces the last of the seven fields of a line of passwd(5). Missing ones become empty.
func withShell(raw, shell string) string {
	line, end := strings.TrimSuffix(raw, "\n"), ""
	if line != raw {
		end = "\n"
	}
	fields := strings.SplitN(line, ":", 7)
	for len(fields) < 7 {
		fields = append(fields, "")
	}
	fields[6] = shell
	return strings.Join(fields, ":") + end
}
