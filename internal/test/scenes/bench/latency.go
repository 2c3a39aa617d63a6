package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// The peers are what administrators write by hand: read the hash and put it in a row.
const (
	peerScript = `#!/bin/sh
hash=$(awk -F: '$1 == "admin" { print $2 }' /etc/shadow)
sqlite3 /var/lib/peer/peer.db "INSERT OR REPLACE INTO credential VALUES ('admin', '$hash')"
`
	peerDatabase = `mkdir -p /var/lib/peer && sqlite3 /var/lib/peer/peer.db 'CREATE TABLE IF NOT EXISTS credential (name TEXT PRIMARY KEY, password TEXT)'`
	pathUnit     = "[Path]\nPathChanged=/etc/shadow\n[Install]\nWantedBy=multi-user.target\n"
	pathService  = "[Service]\nType=oneshot\nExecStart=/usr/local/bin/peer\n"
	loopService  = "[Service]\nExecStart=/bin/sh -c \"inotifywait -q -m -e moved_to --format %%f /etc | while read f; do [ $$f = shadow ] && /usr/local/bin/peer; done\"\n"
)

type latencies struct {
	Changes  int     `json:"changes"`
	Durable  int     `json:"durable"`
	Micros   []int64 `json:"micros"`
	TotalMS  int64   `json:"total_ms"`
	LastHash string  `json:"last_hash"`
}

func latency(ctx context.Context) error {
	heading("rename of /etc/shadow -> durable in the store (watch only)")
	program, err := buildProgram(ctx, "latency")
	if err != nil {
		return err
	}
	defer os.RemoveAll(filepath.Dir(program))
	var ours float64
	for _, c := range []struct{ name, store, commit string }{
		{"shadowsync, sqlite", sqliteStore, "/var/lib/shadowsync/credentials.db-journal"},
		{"shadowsync, json", jsonStore, "/var/lib/128technology/user-running.json"},
	} {
		b, err := stage(ctx, c.store)
		if err != nil {
			return err
		}
		r, err := b.measure(ctx, program, c.commit)
		if err == nil {
			report(c.name, r, ours)
			if ours == 0 {
				ours = float64(quantile(r.Micros, 0.5))
			}
			err = b.burst(ctx, program, c.name, c.commit)
		}
		_ = b.Close()
		if err != nil {
			return err
		}
	}
	return peers(ctx, program, ours)
}

func peers(ctx context.Context, program string, ours float64) error {
	b, err := stage(ctx, sqliteStore)
	if err != nil {
		return err
	}
	defer b.Close()
	if err := b.preparePeers(ctx); err != nil {
		return err
	}
	const commit = "/var/lib/peer/peer.db-journal"
	for _, p := range []struct{ name, unit string }{{"systemd.path unit with a script", "peer.path"}, {"inotifywait loop with the same script", "peerloop.service"}} {
		if _, err := b.sh(ctx, "systemctl reset-failed; systemctl start "+p.unit+" && sleep 1"); err != nil {
			return err
		}
		r, err := b.measure(ctx, program, commit)
		if err != nil {
			return err
		}
		report(p.name, r, ours)
		if err := b.burst(ctx, program, p.name, commit); err != nil {
			return err
		}
		if _, err := b.sh(ctx, "systemctl stop "+p.unit); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) preparePeers(ctx context.Context) error {
	if _, err := b.sh(ctx, "systemctl stop shadowsync.service shadowsync.socket shadowsync-operator.socket; "+peerDatabase); err != nil {
		return err
	}
	for path, text := range map[string]string{
		"/usr/local/bin/peer": peerScript, "/etc/systemd/system/peer.path": pathUnit,
		"/etc/systemd/system/peer.service": pathService, "/etc/systemd/system/peerloop.service": loopService,
	} {
		if err := b.WriteFile(ctx, path, []byte(text), 0o755); err != nil {
			return err
		}
	}
	_, err := b.sh(ctx, "systemctl daemon-reload")
	return err
}

func (b *bench) measure(ctx context.Context, program, commit string) (latencies, error) {
	return b.latency(ctx, program, fmt.Sprintf("-n 200 -commit %s", commit))
}

func (b *bench) latency(ctx context.Context, program, flags string) (latencies, error) {
	if err := b.CopyIn(ctx, program, "/usr/local/bin/latency", 0o755); err != nil {
		return latencies{}, err
	}
	out, err := b.sh(ctx, "latency "+flags)
	if err != nil {
		return latencies{}, err
	}
	var r latencies
	return r, json.Unmarshal([]byte(out), &r)
}

// burst makes changes as fast as usermod can, and reports whether the last one arrived.
func (b *bench) burst(ctx context.Context, program, name, commit string) error {
	r, err := b.latency(ctx, program, fmt.Sprintf("-burst -n 1000 -commit %s", commit))
	if err != nil {
		return err
	}
	out, err := b.sh(ctx, "h='"+r.LastHash+"'\n"+lastStored)
	if err != nil {
		return err
	}
	fmt.Printf("%-40s 1,000 changes in %v: %d commits, the last one stored: %s\n",
		name, time.Duration(r.TotalMS)*time.Millisecond, r.Durable, out)
	return nil
}

// lastStored searches every existing store for the hash $h, for ten seconds.
const lastStored = `for i in $(seq 100); do
  if grep -qF "$h" /var/lib/128technology/user-running.json; then echo yes; exit; fi
  for d in /var/lib/shadowsync/credentials.db /var/lib/peer/peer.db; do
    if [ -f $d ] && [ "$(sqlite3 $d "SELECT count(*) FROM credential WHERE password = '$h'")" = 1 ]; then echo yes; exit; fi
  done
  sleep 0.1
done
echo NO`

func report(name string, r latencies, ours float64) {
	p50, p99 := quantile(r.Micros, 0.5), quantile(r.Micros, 0.99)
	ratio := ""
	if ours > 0 && p50 > 0 {
		ratio = fmt.Sprintf("  %.1fx ours", float64(p50)/ours)
	}
	fmt.Printf("%-40s p50 %6.2f ms  p99 %6.2f ms  recorded %d of %d%s\n", name, float64(p50)/1000, float64(p99)/1000, r.Durable, r.Changes, ratio)
}
