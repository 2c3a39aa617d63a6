package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/internal/factor/totp"
	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// factors measures second factors.
func factors(ctx context.Context) error {
	heading("second factors")
	for _, row := range []func(context.Context) error{checks, logins} {
		if err := row(ctx); err != nil {
			return err
		}
	}
	return nil
}

// checks measures the check of a code at the broker among ten thousand enrolled accounts, as the PAM module
// asks for it. Recovery codes are taken like codes of an authenticator, and need no waiting for the next one.
func checks(ctx context.Context) error {
	program, err := buildProgram(ctx, "checker")
	if err != nil {
		return err
	}
	defer os.RemoveAll(filepath.Dir(program))
	b, err := crowded(ctx, machine.Bare)
	if err != nil {
		return err
	}
	defer b.Close()
	if err := b.CopyIn(ctx, program, "/usr/local/bin/checker", 0o755); err != nil {
		return err
	}
	key := totp.SetupKey(totp.NewSecret())
	secret, err := totp.ParseSetupKey([]byte(key))
	if err != nil {
		return err
	}
	code := totp.Code(secret, totp.StepAt(time.Now()))
	_, err = b.sh(ctx, fmt.Sprintf(`set -e; umask 077
printf '%%s\n" TOTP_AUTH\n' '%[1]s' > /root/imported
echo %[2]s | shadowsync user enrol 2fa u0 --stdin --import /root/imported >/dev/null
columns=$(sqlite3 /var/lib/shadowsync/state/state.db "SELECT group_concat(name) FROM pragma_table_info('factor') WHERE name <> 'account'")
sqlite3 /var/lib/shadowsync/state/state.db "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %[3]d)
	INSERT INTO factor (account, $columns) SELECT 'u' || i, $columns FROM factor, n WHERE account = 'u0'"
systemctl start shadowsync.socket shadowsync-factor.socket shadowsync-operator.socket shadowsync.service
test $(wc -l < /var/lib/shadowsync/enrolled) = %[4]d`, strings.ReplaceAll(key, " ", ""), code, crowd-1, crowd))
	if err != nil {
		return err
	}
	times, err := b.times(ctx, `set -e; for i in $(seq 20); do
  shadowsync user renew 2fa codes u0 | grep -oE '[a-z]{6}-[a-z]{6}-[a-z]{6}' | checker /run/shadowsync/factor.sock u0 $(id -u u0)
done`)
	if err != nil {
		return err
	}
	fmt.Printf("check of a code at the broker, %d enrolled accounts: %.1f ms (median of %d), 95 %%: %.1f ms\n",
		crowd, float64(quantile(times["check"], 0.5))/1000, len(times["check"]), float64(quantile(times["check"], 0.95))/1000)
	return nil
}
