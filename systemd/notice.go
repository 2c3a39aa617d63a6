package systemd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// NoticeUnit describes a run of the administrator's own program, which is told of
// something on its standard input.
type NoticeUnit struct {
	Name     string // of the unit: letters, digits, "-" and "_"
	Program  string // absolute
	User     string
	Stdin    *os.File // systemd takes a copy
	Deadline time.Duration
}

// StartNotice starts the program in a unit of its own, without our sandbox, for it
// may need the network, and without our rights. systemd kills it at its deadline.
func (b *Bus) StartNotice(ctx context.Context, n NoticeUnit) error {
	plain := func(r rune) bool { return isAlnum(r) || r == '-' || r == '_' }
	switch {
	case n.Name == "" || strings.IndexFunc(n.Name, func(r rune) bool { return !plain(r) }) >= 0:
		return fmt.Errorf("cannot notify: %q is not fit for the name of a unit", n.Name)
	case !filepath.IsAbs(n.Program) || n.User == "" || n.Stdin == nil || n.Deadline <= 0:
		return errors.New("cannot notify: program, user, input or deadline is missing")
	}
	return b.startTransient(ctx, "shadowsync-notify-"+n.Name+".service", n.properties())
}

func (n NoticeUnit) properties() []property {
	return slices.Concat(limits(), oneRun([]string{n.Program}, n.Stdin, "shadowsync-notify", n.Deadline), []property{
		prop("Description", "Notification of the administrator (shadowsync)"),
		prop("User", n.User),
		prop("NoNewPrivileges", true),
		prop("ProtectHome", "read-only"),
		prop("PrivateTmp", true),
	})
}
