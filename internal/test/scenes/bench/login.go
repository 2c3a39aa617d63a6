package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/internal/factor/totp"
	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// logins compares an ssh login with a code with one without, in turn, on the same machine: an account that is
// enrolled, and one that is not, through the lines that setup wrote.
func logins(ctx context.Context) error {
	b, err := stage(ctx, sqliteStore)
	if err != nil {
		return err
	}
	defer b.Close()
	key := totp.SetupKey(totp.NewSecret())
	secret, err := totp.ParseSetupKey([]byte(key))
	if err != nil {
		return err
	}
	_, err = b.sh(ctx, fmt.Sprintf(`set -e; umask 077
printf '[second_factor]\nservices = ["sshd"]\n' >>/etc/shadowsync/shadowsync.toml
shadowsync setup
printf '#!/bin/sh\ncase "$1" in *code*) echo $CODE ;; *) echo %[1]s ;; esac\n' >/root/askpass
chmod 700 /root/askpass
printf '%%s\n" TOTP_AUTH\n' %[2]s >/root/imported
echo %[3]s | shadowsync user enrol 2fa admin --stdin --import /root/imported`,
		machine.OldPassword, strings.ReplaceAll(key, " ", ""), totp.Code(secret, totp.StepAt(time.Now()))))
	if err != nil {
		return err
	}
	times, err := b.times(ctx, `export SSH_ASKPASS=/root/askpass SSH_ASKPASS_REQUIRE=force CODE
login() {
  begun=$(date +%s%N)
  ssh -F none -l $2 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o PreferredAuthentications=keyboard-interactive \
    -o NumberOfPasswordPrompts=1 127.0.0.1 true 2>/dev/null </dev/null || exit 1
  echo $1 $((($(date +%s%N) - begun) / 1000))
}
login warm user222
for i in 1 2 3; do
  for CODE in $(shadowsync user renew 2fa codes admin | grep -oE '[a-z]{6}-[a-z]{6}-[a-z]{6}'); do
    login with admin
    login without user222
  done
done`)
	if err != nil {
		return err
	}
	with, without := quantile(times["with"], 0.5), quantile(times["without"], 0.5)
	fmt.Printf("ssh login with a code: %.1f ms, without: %.1f ms (medians of %d in turn): %.1f ms more\n",
		float64(with)/1000, float64(without)/1000, len(times["with"]), float64(with-without)/1000)
	return nil
}
