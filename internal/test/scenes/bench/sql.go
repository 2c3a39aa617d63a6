package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// queries measures a table in PostgreSQL: its driver, and a reconcile of many accounts by the engine. The
// server's log tells how many statements the reconciles needed.
func queries(ctx context.Context) error {
	heading("a table in PostgreSQL")
	querier, err := buildProgram(ctx, "querier", "CGO_ENABLED=1") // SQLite is C
	if err != nil {
		return err
	}
	defer os.RemoveAll(filepath.Dir(querier))
	m, err := machine.New(ctx, machine.Bookworm, machine.Options{Layer: machine.Apps})
	if err != nil {
		return err
	}
	b := &bench{m}
	defer b.Close()
	if err := b.CopyIn(ctx, querier, "/usr/local/bin/querier", 0o755); err != nil {
		return err
	}
	times, err := b.times(ctx, `set -e
systemctl start postgresql
cd /
runuser -u postgres -- psql -v ON_ERROR_STOP=1 -q <<'END'
CREATE ROLE shadowsync LOGIN PASSWORD 'bench';
CREATE TABLE crowd (name varchar(150) PRIMARY KEY, password varchar(128) NOT NULL);
INSERT INTO crowd SELECT 'user' || i, '$6$' || i FROM generate_series(0, 9999) AS i;
GRANT SELECT, UPDATE ON crowd TO shadowsync;
ANALYZE crowd;
ALTER ROLE shadowsync SET log_statement = 'all';
ALTER ROLE shadowsync SET log_parameter_max_length = 0;
END
seq 0 9999 | awk '{ print "user" $1 ":x:" 20000 + $1 ":20000::/:/bin/sh" }' >> /etc/passwd
seq 0 9999 | awk '{ print "user" $1 ":$6$" $1 ":19000:0:99999:7:::" }' >> /etc/shadow
printf bench > /root/password
chmod 600 /root/password
measure() { querier "$1" postgres://shadowsync@127.0.0.1/postgres /root/password; }
statements() { cat /var/log/postgresql/*.log | grep -c 'shadowsync@postgres LOG: *\(execute\|statement\)'; }
measure driver
measure settle
before=$(statements)
measure reconcile
echo statements $(($(statements) - before))`)
	if err != nil {
		return err
	}
	for _, row := range []struct {
		name, what string
		bar        float64
	}{
		{"warm", "write with compare-and-swap, and read-back", 2},
		{"reconnected", "the same on a new connection", 10},
		{"read", "the read of 10,000 accounts alone", 50},
		{"reconciled", "10,000 accounts reconciled, nothing changed", 50},
	} {
		fmt.Printf("%-52s %7.2f ms p50, at most %v\n", row.what, float64(quantile(times[row.name], 0.5))/1000, row.bar)
	}
	fmt.Printf("%d of these reconciles were %d statements for the server\n", len(times["reconciled"]), times["statements"][0])
	return nil
}
