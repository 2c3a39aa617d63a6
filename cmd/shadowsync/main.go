// Command shadowsync is the root tool, the hooks and the daemon.
//
//	main.go      parse, run, print, exit
//	root.go      the command tree, and what every command receives
//	open.go      opening the engine; mounted.go for a system under --root
//	exit.go      the one table from error to exit status
//	hints.go     the one table from error to the next command
//	actions.go   what the words of the audit mean
//	again.go     hints that keep the arguments that were typed
//	output.go    text and JSON, with foreign text escaped
//	token.go     where a new password comes from
//	completion.go completion in bash without the package bash-completion
//	words.go     hides words of the command line that may be passwords
//	account.go   selects accounts and applications
//	targets.go   the accounts of a command: arguments, lists; meant.go words in another order
//	carry_out.go has a change carried out on accounts, by internal/admin/bulk
//	ledger.go    what is said about such a change, and the result for each account
//	record.go    writes the result to the audit
//	factor.go    what the commands for second factors share
//	directory.go accounts of a directory: found, shown, refused
//	logout.go    ends the sessions that an old password opened
//	hook_again.go the second try at a hook whose unit failed
//	inspect.go   reads what status, user and guard show
//	status_account.go what that means for an account; status_store.go, status_broker.go,
//	status_page.go and status_hook.go likewise
//	paged.go     sends long output through a pager
//	filter.go    selects what status and user list show
//	list_hashes.go what `user list --hashes` shows
//	restore_plan.go which side's password holds after a restore
//	restore_factors.go which second factors hold after a restore
//	passphrase.go passphrases and keys of backups
//	narrow.go    breaks lines for a narrow terminal, and no command within itself
//	naming.go    adds needed options to commands named in texts
//	progress.go  shows the progress of long work
//	room.go      reserves room for passwords shown once; keep_output.go keeps them on a terminal
//	docs_keys.go docs/configuration.md; docs_page.go makes man pages of docs/
//	fault_none.go no faults; fault_probe.go has those of the crash tests
//
// Each command has a file of its own: a constructor, its options, and a function run… that does not
// depend on cobra.
package main

import (
	"context"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/term/argv"
	"github.com/shadowsync/shadowsync/systemd"
)

// The linker sets these, for example with -X main.version=1.2.3.
var (
	version = "devel"
	// installedAt is where make install puts the program. Units and hooks run that copy, even if
	// another copy ran setup.
	installedAt = systemd.DefaultBinary
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	a := newApp(os.Stdin, os.Stdout, os.Stderr)
	root := newRoot(a)
	root.SetArgs(argv.Hide(func(words []string) []bool { return append([]bool{false}, hiddenWords(root, words[1:])...) })[1:])
	command, err := root.ExecuteContextC(ctx)
	os.Exit(a.finish(ctx, command, err))
}
