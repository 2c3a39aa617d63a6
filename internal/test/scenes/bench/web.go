package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// thePage measures how long a person at a browser waits for the page, and what is there while nobody does.
func thePage(ctx context.Context) error {
	heading("the page")
	program, err := buildProgram(ctx, "visitor")
	if err != nil {
		return err
	}
	defer os.RemoveAll(filepath.Dir(program))
	b, err := stage(ctx, sqliteStore)
	if err != nil {
		return err
	}
	defer b.Close()
	if err := b.CopyIn(ctx, program, "/usr/local/bin/visitor", 0o755); err != nil {
		return err
	}
	if _, err := b.sh(ctx, `visitor certificate /etc/shadowsync
printf '\n[web]\ncertificate = "/etc/shadowsync/web.crt"\nkey = "/etc/shadowsync/web.key"\n' >>/etc/shadowsync/shadowsync.toml
shadowsync setup --web
echo 'user222:`+firstPassword+`' | chpasswd`); err != nil {
		return err
	}
	times, err := b.times(ctx, `visitor first /etc/shadowsync 20`)
	if err != nil {
		return err
	}
	show("first request after the idle end (bar 150)", times["first"])
	if times, err = b.times(ctx, `echo '`+firstPassword+`' | visitor pages /etc/shadowsync 1000`); err != nil {
		return err
	}
	page := times["page"]
	show("page to first byte, signed in, 100 a second", page)
	fmt.Printf("%-40s p99 %6.1f ms (bar 10)\n", "", float64(quantile(page, 0.99))/1000)
	for _, unit := range []string{"shadowsync.service", "shadowsync-web.service"} {
		show("CPU time of a page: "+unit, times[unit])
	}
	// The connections of the visitor are gone: after its idle time the process is, too.
	out, err := b.sh(ctx, `pid=$(systemctl show -p MainPID --value shadowsync-web.service)
awk '/^Pss:/ { printf "memory while it serves: PSS %.1f MB\n", $2 / 1024 }' /proc/$pid/smaps_rollup
for i in $(seq 60); do [ "$(systemctl show -p ActiveState --value shadowsync-web.service)" = inactive ] && break; sleep 1; done
systemctl show -p ActiveState -p MainPID shadowsync-web.service | tr '\n' ' '`)
	fmt.Println(out)
	return err
}
