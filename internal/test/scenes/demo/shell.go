package main

import (
	"context"
	"fmt"
	"time"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// The exit statuses of a shell when its machine goes down: nsenter(1) dies of the same signal as
// its child.
const (
	hungUp = 128 + 1
	killed = 128 + 9
)

// rebootLimit limits the wait for a machine to come up again.
const rebootLimit = 20 * time.Second

// handOver gives the person a shell on the machine, also after reboots, until they leave it.
func (p *play) handOver(ctx context.Context) error {
	p.say("\n%s\n", p.in(bold, "== Your turn =="))
	p.say("You are root on the machine. For example:")
	p.say("  passwd user222; systemctl restart 128T; shadowsync status")
	p.say("  mv /var/lib/128technology /gone; passwd admin; systemctl restart 128T    (move it back and look again)")
	p.say("  echo admin:Pebble-5-orchard | chpasswd -c SHA512; shadowsync history admin; reboot    (chpasswd -c goes past PAM)")
	p.say("Leave with exit or Ctrl-D; the machine is gone then.\n")
	for {
		life := p.machine.Boots()
		code, err := p.machine.Interactive(ctx, machine.Shell("cd && exec bash -l"))
		if err != nil {
			return fmt.Errorf("cannot go on with the shell: %w", err)
		}
		if code != hungUp && code != killed {
			return nil
		}
		p.say("\nThe machine went down. Waiting for it to come up again.")
		if !p.rebooted(ctx, life) {
			return nil
		}
		p.say("It has rebooted; you are on it again.")
	}
}

// rebooted waits for the boot after this one; false means that the machine stays off.
func (p *play) rebooted(ctx context.Context, life int) bool {
	ctx, cancel := context.WithTimeout(ctx, rebootLimit)
	defer cancel()
	return p.machine.AwaitBoot(ctx, life+1) == nil
}
