// Command chroot runs a command in one of the trees of package base, without a network:
//
//	chroot TREE [HOST=INSIDE…] -- COMMAND…
//
// TREE is a name as bookworm+compilers; it is built if it is missing. HOST is a folder that the command
// finds at INSIDE. The tree itself stays as it is. The exit status is the command's.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/shadowsync/shadowsync/internal/test/machine/base"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		os.Exit(exit.ExitCode())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "chroot:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("usage: chroot TREE [HOST=INSIDE…] -- COMMAND…")

func run(ctx context.Context, args []string) error {
	split := slices.Index(args, "--")
	if split < 1 || split == len(args)-1 {
		return errUsage
	}
	kind := slices.IndexFunc(base.Kinds, func(k base.Kind) bool { return k.Name() == args[0] })
	if kind < 0 {
		return fmt.Errorf("there is no tree %q", args[0])
	}
	binds, err := bindsFrom(args[1:split])
	if err != nil {
		return err
	}
	tree, err := base.Open(ctx, base.Kinds[kind], os.Stderr)
	if err != nil {
		return err
	}
	point, err := os.MkdirTemp("", "shadowsync-chroot-")
	if err != nil {
		return errors.Join(fmt.Errorf("cannot make a folder for the tree: %w", err), tree.Close())
	}
	command := tree.Inside(ctx, point, binds, args[split+1:]...)
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	return errors.Join(command.Run(), os.Remove(point), tree.Close())
}

func bindsFrom(words []string) (binds []base.Bind, err error) {
	for _, word := range words {
		host, inside, ok := strings.Cut(word, "=")
		if !ok || !filepath.IsAbs(inside) {
			return nil, errUsage
		}
		if host, err = filepath.Abs(host); err != nil {
			return nil, fmt.Errorf("cannot find %s: %w", host, err)
		}
		binds = append(binds, base.Bind{Host: host, Inside: inside})
	}
	return binds, nil
}
