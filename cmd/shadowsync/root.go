package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/operator"
)

// app is what every command is given: the global flags, and the world around it.
type app struct {
	config string // path of the configuration, beneath root
	root   string // "/" or where a system is mounted
	json   bool
	quiet  bool

	in       *os.File
	out, err io.Writer
	tty      string // the terminal that a password is asked on
	uid      int    // effective

	operators string // the daemon's socket for who is not root
	// batchTime is how long passwords are hashed before what is ready is set: an
	// interruption loses that much work, and each batch replaces the shadow file once.
	batchTime time.Duration
}

func newApp(in *os.File, out, err io.Writer) *app {
	return &app{config: config.DefaultPath, root: "/", in: in, out: out, err: err, tty: "/dev/tty", uid: os.Geteuid(), operators: operator.Path, batchTime: defaultBatchTime()}
}

// mounted tells whether the work is on a system that is not the running one.
func (a *app) mounted() bool { return a.root != "/" }

// The groups of the help page.
const (
	groupDaily  = "daily"
	groupWiring = "wiring"
	groupUnits  = "units"
)

// buildCommands are those that only the build runs: see docs.go.
var buildCommands []func() *cobra.Command

// newRoot builds the command tree. Nothing is kept in package variables, so that
// tests may run many of them.
func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "shadowsync",
		Short: "Make a Linux password change stick in the application's own user database",
		Long: "shadowsync keeps the passwords of an application's accounts the same in the OS and in\n" +
			"the application's own credential store, so that a changed one survives the restart.",
		Version: version, SilenceErrors: true, SilenceUsage: true,
		PersistentPreRunE: func(*cobra.Command, []string) error { return a.check() },
	}
	a.addFlags(root)
	root.AddGroup(
		&cobra.Group{ID: groupDaily, Title: "Passwords and their state:"},
		&cobra.Group{ID: groupWiring, Title: "Wiring:"},
		&cobra.Group{ID: groupUnits, Title: "For systemd:"},
	)
	inGroup(root, groupDaily, newStatus(a), newSync(a), newUser(a), newHistory(a), newAudit(a), newGuard(a))
	inGroup(root, groupWiring, newSetup(a), newDoctor(a), newRemove(a), newBackup(a), newRestore(a))
	inGroup(root, groupUnits, newHook(a), newDaemon(a))
	root.AddCommand(newStoreWorker(), newProofWorker(), newPolicyWorker(), newRulesWorker(), newReviewWorker(), newPAMWorker(), newAccountWorker())
	for _, c := range buildCommands {
		root.AddCommand(c())
	}
	root.SetVersionTemplate("shadowsync {{.Version}}\n")
	root.SetHelpTemplate(root.HelpTemplate() + exitHelp())
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usageError(c, err) })
	onlyCommands(root)
	return root
}

func inGroup(root *cobra.Command, group string, commands ...*cobra.Command) {
	for _, c := range commands {
		c.GroupID = group
		root.AddCommand(c)
	}
}

func (a *app) addFlags(root *cobra.Command) {
	flags := root.PersistentFlags()
	flags.StringVar(&a.config, "config", a.config, "configuration `file`, beneath --root")
	flags.StringVar(&a.root, "root", a.root, "work on the system mounted at `dir`, for rescue")
	flags.BoolVar(&a.json, "json", false, "print JSON, as shadowsync-json(7) says")
	flags.BoolVar(&a.quiet, "quiet", false, "print nothing but errors")
	flags.BoolP("help", "h", false, "show the help of a command")
}

// check completes the global flags.
func (a *app) check() error {
	root, err := filepath.Abs(a.root)
	if err != nil {
		return fmt.Errorf("cannot use --root: %w", err)
	}
	info, err := os.Stat(root)
	if err != nil {
		return fmt.Errorf("cannot use --root: %w", err)
	}
	if !info.IsDir() {
		return mark(fmt.Errorf("cannot use --root %s: not a folder", root), errUsage)
	}
	a.root = root
	return nil
}

// onlyCommands makes what is only a group of commands refuse to be run: a
// mistyped command must not end with status 0.
func onlyCommands(c *cobra.Command) {
	for _, sub := range c.Commands() {
		onlyCommands(sub)
	}
	if c.RunE != nil || c.Run != nil {
		return
	}
	c.Args, c.SuggestionsMinimumDistance = cobra.ArbitraryArgs, 2
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			c.SetOut(c.ErrOrStderr())
			return errors.Join(c.Help(), usageError(c, errors.New("a command is missing")))
		}
		err := fmt.Errorf("unknown command %q", args[0])
		if similar := c.SuggestionsFor(args[0]); len(similar) > 0 {
			return &similarError{error: usageError(c, err), command: c.CommandPath() + " " + similar[0]}
		}
		return usageError(c, err)
	}
}

// exactly is a command's number of arguments.
func exactly(n int) cobra.PositionalArgs { return args(cobra.ExactArgs(n)) }

// args makes a wrong number of arguments a usage error.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, given []string) error {
		if err := check(c, given); err != nil {
			return usageError(c, err)
		}
		return nil
	}
}

// finish prints what went wrong and returns the exit status.
func (a *app) finish(ctx context.Context, command *cobra.Command, err error) int {
	if err == nil {
		return 0
	}
	if ctx.Err() != nil {
		err = mark(errors.New("cannot finish: interrupted"), errInterrupted)
	}
	a.complain(command.CommandPath(), err)
	if errors.As(err, new(notRootError)) && !a.mounted() {
		a.report(context.WithoutCancel(ctx), command)
	}
	return exitStatus(err)
}

// reportWithin bounds the wait for the daemon to put an attempt on record.
const reportWithin = 500 * time.Millisecond

// report has an attempt by somebody who is not root put on record: they cannot write the
// trail, and the daemon knows from the kernel who they are. Its answer is the refusal
// that was told already; a daemon that is not there keeps no record.
func (a *app) report(ctx context.Context, command *cobra.Command) {
	ctx, cancel := context.WithTimeout(ctx, reportWithin)
	defer cancel()
	_, verb, _ := strings.Cut(command.CommandPath(), " ")
	_ = operator.Client{Path: a.operators}.RootTool(ctx, verb)
}
