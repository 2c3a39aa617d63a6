package main

import (
	"context"
	"fmt"
)

// atRest counts each second in which any thread ran as one wake-up, because one cause wakes several
// threads.
func atRest(ctx context.Context) error {
	heading("at rest")
	b, err := stage(ctx, jsonStore)
	if err != nil {
		return err
	}
	defer b.Close()
	out, err := b.sh(ctx, `
pids="$(systemctl show -p MainPID --value shadowsync.service) $(systemctl show -p MainPID --value shadowsync-store-conductor.service)"
switches() { for p in $pids; do cat /proc/$p/task/*/status; done | awk '/^voluntary_ctxt/ { n += $2 } END { print n }'; }
sleep 3
for p in $pids; do awk -v p="$(cat /proc/$p/comm) $p" '/^Pss:/ { print p ": PSS " $2 / 1024 " MB" }' /proc/$p/smaps_rollup; done
n=0; a=$(switches)
for i in $(seq 60); do sleep 1; z=$(switches); [ $z = $a ] || n=$((n + 1)); a=$z; done
echo "wake-ups in 60 s: $n"
systemd-analyze security --no-pager shadowsync.service | tail -1`)
	fmt.Println(out)
	return err
}
