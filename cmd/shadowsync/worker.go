package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/shadowsync/shadowsync/internal/accountworker"
	"github.com/shadowsync/shadowsync/internal/pamworker"
	"github.com/shadowsync/shadowsync/internal/policy"
	"github.com/shadowsync/shadowsync/internal/proof"
	"github.com/shadowsync/shadowsync/internal/storeworker"
)

// newStoreWorker is the process that runs a store's driver.
func newStoreWorker() *cobra.Command {
	return &cobra.Command{
		Use: storeworker.Command, Short: "Run a store's driver, for the daemon and the tool", Hidden: true, Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error { return storeworker.Main(c.Context(), os.Stdin) },
	}
}

// newProofWorker is the process that turns a clear text into a store's hash.
func newProofWorker() *cobra.Command {
	return &cobra.Command{
		Use: proof.Argument, Short: "Make a store's hash, for the daemon", Hidden: true, Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error { return proof.Main(c.Context(), os.Stdin) },
	}
}

// newPAMWorker is the process that runs passwd's own PAM stack for an operator.
func newPAMWorker() *cobra.Command {
	return &cobra.Command{
		Use: pamworker.Argument, Short: "Run a PAM transaction, for the daemon", Hidden: true, Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error { return pamworker.Main(c.Context(), os.Stdin) },
	}
}

// newAccountWorker is the process that sees what the daemon's sandbox hides of an account.
func newAccountWorker() *cobra.Command {
	return &cobra.Command{
		Use: accountworker.Argument, Short: "Look after an account, for the daemon", Hidden: true, Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error { return accountworker.Main(c.Context(), os.Stdin) },
	}
}

// newPolicyWorker is the process that asks the machine's own rules about new passwords.
func newPolicyWorker() *cobra.Command {
	return &cobra.Command{
		Use: policy.Argument + " DIR", Short: "Judge new passwords, for the tool", Hidden: true, Args: exactly(1),
		RunE: func(_ *cobra.Command, dir []string) error { return policy.Main(dir[0], os.Stdin, os.Stdout) },
	}
}

// newReviewWorker is the process that judges a password that root has set already.
func newReviewWorker() *cobra.Command {
	return &cobra.Command{
		Use: policy.ReviewArgument, Short: "Judge a password that is set, for the daemon", Hidden: true, Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error { return policy.ReviewMain(c.Context(), os.Stdin) },
	}
}

// newRulesWorker is the process that holds a new password against the configuration's rules.
func newRulesWorker() *cobra.Command {
	return &cobra.Command{
		Use: policy.RulesArgument, Short: "Judge a new password, for the daemon", Hidden: true, Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error { return policy.RulesMain(c.Context(), os.Stdin) },
	}
}
