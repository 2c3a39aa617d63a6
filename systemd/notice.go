package systemd

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"time"
)

// NoticeUnit describes a run of the administrator's own program, which gets a notice on its
// standard input.
type NoticeUnit struct {
	Name     string // of the unit: letters, digits, "-" and "_"
	Program  string // absolute
	User     string
	Stdin    *os.File // systemd takes a copy
	Deadline time.Duration
}

// noticeLogLines is how many lines the journal takes of the program within noticeLogInterval.
// journald multiplies it by up to six, depending on the free disk space.
const (
	noticeLogLines    = 50
	noticeLogInterval = 30 * time.Second
)

// RunNotice runs the program in its own unit and returns its result. The unit has none of our
// sandbox, because the program may need the network, and none of our rights. systemd kills the
// program at its deadline; if ctx ends earlier, the program continues.
func (b *Bus) RunNotice(ctx context.Context, n NoticeUnit) error {
	if n.User == "" || n.Deadline <= 0 {
		return errors.New("cannot notify: user or deadline is missing")
	}
	if err := n.run().check(); err != nil {
		return fmt.Errorf("cannot notify: %w", err)
	}
	began := time.Now()
	err := b.startTransient(ctx, "shadowsync-notify-"+n.Name+".service", n.properties())
	switch {
	case !errors.Is(err, errJob):
		return err
	case time.Since(began) >= n.Deadline:
		return fmt.Errorf("it did not end within %v and was killed", n.Deadline)
	}
	return errors.New("it failed or could not be started")
}

func (n NoticeUnit) run() program {
	return program{n.Name, []string{n.Program}, n.Stdin, "shadowsync-notify"}
}

func (n NoticeUnit) properties() []property {
	return slices.Concat(limits(0), n.run().properties(), limitedTo(n.Deadline), []property{
		// With "oneshot" the start job ends with the program and has its result.
		prop("Type", "oneshot"),
		prop("TimeoutStartUSec", uint64(n.Deadline.Microseconds())),
		prop("RuntimeMaxUSec", uint64(math.MaxUint64)), // systemd warns of another value in a oneshot
		prop("Description", "Notification of the administrator (shadowsync)"),
		prop("User", n.User),
		prop("NoNewPrivileges", true),
		prop("ProtectHome", "read-only"),
		prop("PrivateTmp", true),
		// A program that prints without end must not fill the journal, or use up the journal's
		// limit for others.
		prop("LogRateLimitIntervalUSec", uint64(noticeLogInterval.Microseconds())),
		prop("LogRateLimitBurst", uint32(noticeLogLines)),
	})
}
