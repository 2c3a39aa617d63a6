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
	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
)

// app is what every command receives: the global flags and its environment.
type app struct {
	config string // path of the configuration, under root
	root   string // "/" or where a system is mounted
	json   bool
	quiet  bool
	// noPager: long output is printed at once.
	noPager bool
	warned  bool // it has warned that the last good configuration is used

	in       *os.File
	out, err io.Writer
	tty      string // the terminal for password prompts
	uid      int    // effective

	operators string // the daemon's socket for users other than root
	// batchTime is how long passwords are hashed before the ready ones are set. An interruption
	// loses that much work, and each batch replaces the shadow file once.
	batchTime time.Duration
}

func newApp(in *os.File, out, err io.Writer) *app {
	return &app{config: config.DefaultPath, root: "/", in: in, out: out, err: err, tty: "/dev/tty", uid: os.Geteuid(), operators: operator.Path, batchTime: defaultBatchTime()}
}

// mounted reports whether the command works on a system other than the running one.
func (a *app) mounted() bool { return !inroot.Live(a.root) }

// The groups in the help page.
const (
	groupDaily  = "daily"
	groupWiring = "wiring"
	groupUnits  = "units"
)

// buildCommands are the commands that only the build uses: see docs.go.
var buildCommands []func() *cobra.Command

// newRoot builds the command tree. It uses no package variables, so that tests can run many trees.
func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "shadowsync",
		Short: "Make a Linux password change stick in the application's own user database",
		Long: "shadowsync keeps the passwords of an application's accounts the same in the OS and in\n" +
			"the application's own credential store, so that a changed one survives the restart.",
		SilenceErrors: true, SilenceUsage: true,
		PersistentPreRunE: func(*cobra.Command, []string) error { return a.check() },
	}
	a.addFlags(root)
	root.AddGroup(
		&cobra.Group{ID: groupDaily, Title: "Passwords and their state:"},
		&cobra.Group{ID: groupWiring, Title: "Wiring:"},
		&cobra.Group{ID: groupUnits, Title: "For systemd:"},
	)
	inGroup(root, groupDaily, newStatus(a), newSync(a), newUser(a), newHistory(a), newAudit(a), newGuard(a))
	inGroup(root, groupWiring, newSetup(a), newDoctor(a), newStore(a), newRemove(a), newBackup(a), newRestore(a), newConfig(a))
	inGroup(root, groupUnits, newHook(a), newDaemon(a))
	for _, w := range workers {
		root.AddCommand(newWorker(w))
	}
	for _, c := range buildCommands {
		root.AddCommand(c())
	}
	help := root.HelpFunc()
	root.SetHelpFunc(func(c *cobra.Command, args []string) {
		out := c.OutOrStdout()
		var page strings.Builder
		c.SetOut(&page)
		help(c, args)
		c.SetOut(out)
		page.WriteString(exitHelp())
		text := page.String()
		if width := columnsOf(out); width > 0 {
			text = narrowed(text, width)
		}
		_, _ = io.WriteString(out, text)
	})
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		if aboutUsers(c) {
			err = errFlag
		}
		if meant := a.meant(c, c.Flags().Args()); c.HasSubCommands() && meant != "" {
			return &similarError{error: usageError(c, err), command: meant}
		}
		return usageError(c, err)
	})
	completeWithoutPackage(root)
	a.onlyCommands(root)
	addVersion(root)
	return root
}

// addVersion adds --version. Neither it nor the help uses cobra's templates: text/template calls
// methods by name, so the linker would have to keep every method, and the program would be a
// seventh larger.
func addVersion(root *cobra.Command) {
	asked, run := root.Flags().BoolP("version", "v", false, "version for "+root.Name()), root.RunE
	root.RunE = func(c *cobra.Command, args []string) error {
		if *asked {
			_, err := fmt.Fprintln(c.OutOrStdout(), root.Name(), version)
			return err
		}
		return run(c, args)
	}
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
	flags.BoolVar(&a.noPager, "no-pager", false, "print long output on a terminal without a pager")
	flags.BoolP("help", "h", false, "show the help of a command")
}

// check completes the global flags.
func (a *app) check() error {
	root, err := filepath.Abs(a.root)
	if err != nil {
		return fmt.Errorf("cannot use --root: %w", err)
	}
	a.root = root
	if !a.mounted() {
		return nil
	}
	return checkSystem(root)
}

// errFlag does not repeat the word, which may be a password that begins with a dash.
var errFlag = errors.New("an unknown flag, or a wrong value of one (a password that begins with - needs -- before the name)")

// onlyCommands makes a pure group of commands refuse to run: a mistyped command must not end with
// status 0.
func (a *app) onlyCommands(c *cobra.Command) {
	for _, sub := range c.Commands() {
		a.onlyCommands(sub)
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
		err := errors.New("unknown command")
		if quotable(args[0]) {
			err = fmt.Errorf("unknown command %q", args[0])
		}
		if meant := a.meant(c, args); meant != "" {
			return &similarError{error: usageError(c, err), command: meant}
		}
		if similar := c.SuggestionsFor(args[0]); len(similar) > 0 {
			return &similarError{error: usageError(c, err), command: c.CommandPath() + " " + similar[0]}
		}
		return usageError(c, err)
	}
}

// exactly requires n arguments.
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

// finish prints the error and returns the exit status.
func (a *app) finish(ctx context.Context, command *cobra.Command, err error) int {
	if err == nil {
		return 0
	}
	if ctx.Err() != nil {
		err = mark(errors.New("cannot finish: interrupted"), errInterrupted)
	}
	a.complain(command, err)
	if errors.As(err, new(notRootError)) && !a.mounted() {
		a.report(context.WithoutCancel(ctx), command)
	}
	return exitStatus(err)
}

// reportWithin limits the wait for the daemon to audit an attempt.
const reportWithin = 500 * time.Millisecond

// report asks the daemon to audit an attempt by a user other than root: they cannot write the
// trail, and the daemon learns from the kernel who they are. The daemon's answer is the refusal
// that is already printed. Without a daemon the attempt is not audited.
func (a *app) report(ctx context.Context, command *cobra.Command) {
	ctx, cancel := context.WithTimeout(ctx, reportWithin)
	defer cancel()
	_, verb, _ := strings.Cut(command.CommandPath(), " ")
	_ = operator.Client{Path: a.operators}.RootTool(ctx, verb)
}
