package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// attacks are what a managed user may do, also with their subordinate uids (subuid(5)), which have
// no entry in passwd(5). Each attack lasts as long as its measurement.
var attacks = []struct{ name, command string }{
	{"nothing", "true"},
	{"connections, garbled and held", "by user222 flood"},
	{"dialogues without a password", "by user222 break"},
	{"dialogues with a wrong one", "by user222 break Wrong-kettle-1"},
	{"dialogues with the right one", "by user222 break " + secondPassword},
	{"12 subordinate uids' connections", "for u in $(seq 300000 300011); do by $u flood & done"},
	{"12 subordinate uids' dialogues", "for u in $(seq 300000 300011); do by $u break & done"},
}

// victims are the commands whose waiting time is measured. The other operator's dialogue ends with
// a weak password.
const victims = `
by() { who=$1 how=$2; shift 2; exec setpriv --reuid $who --regid 65534 --clear-groups -- prowler $how /run/shadowsync/operator.sock 600 "$@"; }
timed() { name=$1; shift; a=$(date +%s%N); timeout 60 "$@" >/dev/null 2>&1; z=$(date +%s%N); echo $name $(( (z - a) / 1000 )); }
rounds() { for i in $(seq 15); do
  timed passwd passwd admin < /root/in
  timed systemctl systemctl reload-or-restart victim.service
  timed su su - other -c true
  timed operator setpriv --reuid admin --regid admin --init-groups -- pcli -c 'show user'
done; }
`

// floods compares how long others wait during an attack and on a quiet machine.
func floods(ctx context.Context) error {
	heading("others' waiting while an unprivileged user does their worst (medians; worst in brackets; ratio to quiet)")
	program, err := buildProgram(ctx, "../prowler")
	if err != nil {
		return err
	}
	defer os.RemoveAll(filepath.Dir(program))
	b, err := stage(ctx, jsonStore)
	if err != nil {
		return err
	}
	defer b.Close()
	if err := b.CopyIn(ctx, program, "/usr/local/bin/prowler", 0o755); err != nil {
		return err
	}
	if _, err := b.sh(ctx, `useradd -m other; echo 'user222:`+secondPassword+`' | chpasswd; printf '`+firstPassword+`\n`+firstPassword+`\n' > /root/in
printf '[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n' > /run/systemd/system/victim.service; systemctl daemon-reload`); err != nil {
		return err
	}
	quiet := map[string]int64{}
	for _, a := range attacks {
		if err := b.attacked(ctx, a.name, a.command, quiet); err != nil {
			return err
		}
	}
	return nil
}

// attacked measures the victims during one attack. The first attack, "nothing", is the quiet
// machine.
func (b *bench) attacked(ctx context.Context, name, command string, quiet map[string]int64) error {
	times, err := b.times(ctx, victims+`systemctl restart shadowsync.service
journalctl --flush; since=$(date +%s)
( `+command+` ) >/dev/null 2>&1 & sleep 1
rounds
pkill -x prowler; wait
echo units $(journalctl --since @$since -o cat _PID=1 | grep -c '^Started shadowsync-helper')`)
	if err != nil {
		return err
	}
	fmt.Printf("%-34s", name)
	for _, victim := range []string{"passwd", "systemctl", "su", "operator"} {
		p50 := quantile(times[victim], 0.5)
		if quiet[victim] == 0 {
			quiet[victim] = p50
		}
		fmt.Printf("  %s %.0f ms (%.0f) %.1fx", victim, float64(p50)/1000, float64(quantile(times[victim], 1))/1000, float64(p50)/float64(quiet[victim]))
	}
	fmt.Printf("  %d units\n", times["units"][0])
	return nil
}
