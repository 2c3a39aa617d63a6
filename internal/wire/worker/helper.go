package worker

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/shadowsync/shadowsync/systemd"
)

// killWithin bounds the wait for the end of a helper. If that fails, its deadline ends it.
const killWithin = 2 * time.Second

// Helpers starts workers in units of their own, as root.
type Helpers struct {
	Bus    *systemd.Bus
	Binary string // the root tool
	made   atomic.Int64
}

// Name returns a new name for a helper, which begins with a prefix.
func (h *Helpers) Name(prefix string) string {
	return fmt.Sprintf("%s%d-%d", prefix, os.Getpid(), h.made.Add(1))
}

// Start starts a worker as the helper u, whose program, arguments and standard input it fills in. It
// does not wait for the program to run: questions may be sent at once.
func (h *Helpers) Start(ctx context.Context, name string, u systemd.HelperUnit) (*Process, error) {
	u.Binary, u.Args = h.Binary, []string{name}
	conn, err := Connect(func(stdin *os.File) error {
		u.Stdin = stdin
		return h.Bus.StartHelper(ctx, u)
	})
	if err != nil {
		return nil, err
	}
	return &Process{conn, func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), killWithin)
		defer cancel()
		return h.Bus.StopHelper(ctx, u.Name)
	}}, nil
}
