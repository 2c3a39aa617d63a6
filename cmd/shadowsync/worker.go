package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/shadowsync/shadowsync/internal/account/accountworker"
	"github.com/shadowsync/shadowsync/internal/account/directory"
	"github.com/shadowsync/shadowsync/internal/factor/keyworker"
	"github.com/shadowsync/shadowsync/internal/factor/mail"
	"github.com/shadowsync/shadowsync/internal/password/pamworker"
	"github.com/shadowsync/shadowsync/internal/password/policy"
	"github.com/shadowsync/shadowsync/internal/password/proof"
	"github.com/shadowsync/shadowsync/internal/store/storeworker"
	"github.com/shadowsync/shadowsync/internal/wire/worker"
)

// workers are what the daemon and the tool run in processes of their own.
var workers = []worker.Command{
	storeworker.Command,        // runs a store's driver
	storeworker.ResolveCommand, // finds the address of a store's server
	proof.Command,              // makes a store's hash of a clear text
	pamworker.Command,          // runs passwd's own PAM stack for an operator
	accountworker.Command,      // reads and changes what the daemon's sandbox hides of an account
	directory.Command,          // looks up an account of a directory
	mail.Command,               // sends a mail
	keyworker.Command,          // hands out the key of the second factors
	policy.JudgeCommand,        // judges new passwords by the machine's own rules
	policy.RulesCommand,        // judges a new password by the configuration's rules
	policy.ReviewCommand,       // judges a password that root has set already
}

func newWorker(w worker.Command) *cobra.Command {
	return &cobra.Command{
		Use: w.Name, Short: w.Short, Hidden: true, Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error { return w.Main(c.Context(), os.Stdin) },
	}
}
