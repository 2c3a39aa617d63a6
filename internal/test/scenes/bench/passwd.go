package main

import (
	"context"
	"fmt"
)

// passwd measures root's passwd(1) with and without our line in the stack. The two alternate, so
// that a machine that becomes slower affects both.
func passwd(ctx context.Context) error {
	heading("passwd with the module in the stack against without")
	b, err := stage(ctx, jsonStore)
	if err != nil {
		return err
	}
	defer b.Close()
	script := `
cp /etc/pam.d/common-password /root/with; grep -v pam_shadowsync /root/with > /root/without
printf 'Xylo-4711-phone\nXylo-4711-phone\n' > /root/in
for i in $(seq 40); do for s in with without; do
  cp /root/$s /etc/pam.d/common-password
  a=$(date +%s%N); passwd admin < /root/in >/dev/null 2>&1; z=$(date +%s%N)
  echo $s $(( (z - a) / 1000 ))
done; done; cp /root/with /etc/pam.d/common-password`
	times, err := b.times(ctx, script)
	if err != nil {
		return err
	}
	with, without := quantile(times["with"], 0.5), quantile(times["without"], 0.5)
	fmt.Printf("with %.1f ms, without %.1f ms (medians of 40): ratio %.2f\n", float64(with)/1000, float64(without)/1000, float64(with)/float64(without))
	return nil
}
