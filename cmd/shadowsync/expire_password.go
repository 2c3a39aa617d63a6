package main

import (
	"fmt"

	"github.com/shadowsync/shadowsync/internal/admin/bulk"
	"github.com/spf13/cobra"
)

func newExpirePassword(a *app) *cobra.Command {
	var s targetSource
	c := &cobra.Command{
		Use:   "password {NAME... | --from FILE}",
		Short: "Make the next login set a new password",
		Args:  cobra.ArbitraryArgs, ValidArgsFunction: a.completeAccounts(0),
		RunE: func(c *cobra.Command, names []string) error {
			s.names = names
			if err := s.check(); err != nil {
				return usageError(c, err)
			}
			return runVerb(c.Context(), a, expirePassword(), s)
		},
	}
	s.addFlag(c, "names, one per line,")
	return c
}

func expirePassword() verb {
	return verb{
		Verb: bulk.ExpirePassword(), phrase: "expire the password of", doing: "Expiring passwords",
		said: func(name string, _ []byte) string {
			return fmt.Sprintf("Password for user `%s` expired: the next login must set a new one", name)
		},
	}
}
