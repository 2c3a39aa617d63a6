package systemd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// HelperUnit describes a helper: a short-lived process that does, as root and outside the broker's
// sandbox, one task that cannot be done inside it. It answers on its standard input.
type HelperUnit struct {
	Name     string // of the unit: letters, digits, "-" and "_"
	What     string // for people: "Password change of an operator"
	Binary   string
	Args     []string // without argument 0
	Stdin    *os.File // a connected socket; systemd takes a copy
	Deadline time.Duration
	Memory   int64 // memory limit in bytes; 0: as for a store worker
	// Credential is the name of a credential that systemd decrypts for it (systemd-creds(1)); empty: none.
	Credential string
	// Network: it is no root, but a user that exists only for it, with the network and nothing else.
	Network bool
	// Reach is all of the network that it may reach; nil: everything. Only with Network.
	Reach *Network
}

// StartHelper asks systemd to start a helper and does not wait for the program to run. The caller
// can already write to the socket; if the start fails, the socket closes. systemd kills the helper
// at its deadline even if the broker is gone. The helper is not a child of the broker, because it
// should finish its work even if the broker dies.
func (b *Bus) StartHelper(ctx context.Context, h HelperUnit) error {
	if err := h.check(); err != nil {
		return fmt.Errorf("cannot start a helper: %w", err)
	}
	return b.queueTransient(ctx, HelperName(h.Name), h.properties())
}

// StopHelper kills a helper. If it has ended already, that is no error.
func (b *Bus) StopHelper(ctx context.Context, name string) error {
	return b.Stop(ctx, HelperName(name))
}

// HelperName returns the name of a helper's unit.
func HelperName(name string) string { return "shadowsync-helper-" + name + ".service" }

func (h HelperUnit) program() program {
	return program{h.Name, append([]string{h.Binary}, h.Args...), h.Stdin, "shadowsync-helper"}
}

func (h HelperUnit) check() error {
	if h.Deadline <= 0 {
		return errors.New("it has no deadline")
	}
	return h.program().check()
}

func (h HelperUnit) properties() []property {
	common := slices.Concat(h.program().properties(), limitedTo(h.Deadline), []property{prop("Description", h.What+" (shadowsync)")})
	common = append(common, secret(h.Credential)...)
	if h.Network && h.Reach != nil {
		return slices.Concat(common, networkOnly(h.Reach.families()...), h.Reach.properties())
	}
	if h.Network {
		return append(common, networkOnly("AF_UNIX", "AF_INET", "AF_INET6")...) // AF_UNIX: resolvers of nsswitch.conf(5)
	}
	return slices.Concat(limits(h.Memory), common, []property{prop("KeyringMode", "private")})
}

// secret hands a credential over; an empty name: none.
func secret(name string) []property {
	if name == "" {
		return nil
	}
	return []property{prop("LoadCredentialEncrypted", []credential{{name, name}})}
}

// networkOnly denies everything but the network: no file can be written, and no other process is seen.
func networkOnly(families ...string) []property {
	return append(sandboxWith(families...),
		prop("DynamicUser", true),
		prop("ProtectSystem", "strict"),
		prop("ProtectHome", "yes"),
		prop("PrivateTmp", true),
		prop("PrivateDevices", true),
		prop("ProtectProc", "invisible"),
		prop("ProtectKernelTunables", true),
		prop("ProtectControlGroups", true),
		prop("ProtectClock", true),
		prop("ProtectHostname", true),
		prop("InaccessiblePaths", []string{"-/run/shadowsync", "-/var/lib/shadowsync", "-/etc/shadowsync"}),
	)
}
