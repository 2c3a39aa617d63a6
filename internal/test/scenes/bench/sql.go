package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// queries measures the driver of a table in PostgreSQL.
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
	if err := b.CopyIn(ctx, querier, "/root/querier", 0o755); err != nil {
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
END
/root/querier postgres://shadowsync@127.0.0.1/postgres bench`)
	if err != nil {
		return err
	}
	for _, row := range []struct {
		name, what string
		bar        float64
	}{
		{"warm", "write with compare-and-swap, and read-back", 2},
		{"reconnected", "the same on a new connection", 10},
		{"read", "10,000 accounts, nothing changed, one round trip", 50},
	} {
		fmt.Printf("%-52s %7.2f ms p50, at most %v\n", row.what, float64(quantile(times[row.name], 0.5))/1000, row.bar)
	}
	return nil
}
