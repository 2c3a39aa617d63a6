package storeworker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/landlock-lsm/go-landlock/landlock"

	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/files/rootonly"
	"github.com/shadowsync/shadowsync/internal/store"
	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/internal/wire/worker"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/systemd"
)

// nobody is the uid and gid of a driver.NetworkWorker that is a child: those of nobody in Linux, which own
// no file.
const nobody = 65534

// Reach returns what the unit of a worker for such a store may reach, once the store's options are equipped.
func Reach(o store.Options) (*systemd.Network, error) {
	d, err := store.Find(o.Driver)
	if err != nil {
		return nil, err
	}
	n := &systemd.Network{Unix: d.Endpoint(o).Socket != ""}
	for _, text := range o.Addresses {
		address, err := netip.ParseAddr(text)
		if err != nil {
			return nil, driver.Unavailable(err)
		}
		n.Addresses = append(n.Addresses, address)
	}
	return n, nil
}

// Parts of what a fault says, for whoever knows the next command.
const (
	SaysPasswordFile = "cannot use password_file"
	SaysCA           = "cannot use ca"
	SaysUnknownHost  = "cannot find the server"
)

// maxSecret bounds the password for a server, in bytes.
const maxSecret = 4096

// Resolve finds the addresses of a host.
type Resolve func(ctx context.Context, host string) ([]netip.Addr, error)

// Lookup is the Resolve of a process with the network.
func Lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// Equip adds to the options what a driver.NetworkWorker cannot find out itself: the password for the
// server, who vouches for it, and where it is. Other options it returns as they are.
func Equip(ctx context.Context, o store.Options, resolve Resolve) (store.Options, error) {
	d, err := store.Find(o.Driver)
	if err != nil || d.Placement(o) != driver.NetworkWorker {
		return o, err
	}
	if !inroot.Live(o.Root) {
		return o, driver.Unavailable(errors.New("a mounted system runs no server"))
	}
	if path := o.Text(driver.PasswordFile.Name); path != "" {
		if o.Secret, err = rootonly.Secret("/", path, maxSecret); err != nil {
			return o, unusable(SaysPasswordFile, path, err)
		}
		if o.Secret = worker.FirstLine(o.Secret); len(o.Secret) == 0 {
			return o, unusable(SaysPasswordFile, path, errNoPassword)
		}
	}
	if path := o.Text(driver.CA.Name); path != "" {
		if o.CA, err = rootonly.ReadMost("/", path, worker.MaxCA); err != nil {
			return o, unusable(SaysCA, path, err)
		}
	}
	o.Addresses, err = addresses(ctx, d.Endpoint(o), resolve)
	return o, err
}

var errNoPassword = errors.New("its first line is empty")

// unusable is the fault of a file that the configuration names, with its path: the caller knows that of the
// store alone.
func unusable(says, path string, err error) error {
	why := err
	if at := (*fs.PathError)(nil); errors.As(err, &at) {
		why = at.Err
	}
	reason := why.Error()
	if !strings.Contains(reason, path) {
		reason = path + ": " + reason
	}
	return &driver.Fault{Kind: shadowsync.ErrUnavailable, Reason: says + ": " + reason, Cause: err}
}

// addresses are those of an endpoint: none for a Unix socket.
func addresses(ctx context.Context, e driver.Endpoint, resolve Resolve) ([]string, error) {
	switch {
	case e.Socket != "" || len(e.Addresses) > 0:
		return e.Addresses, nil
	case isAddress(e.Host):
		return []string{e.Host}, nil
	}
	found, err := resolve(ctx, e.Host)
	if err == nil && len(found) == 0 {
		err = errors.New("it has no address")
	}
	if err != nil {
		return nil, driver.Unavailable(fmt.Errorf(SaysUnknownHost+" %s: %w", e.Host, err))
	}
	texts := make([]string, len(found))
	for i, a := range found {
		texts[i] = a.Unmap().String()
	}
	return texts, nil
}

func isAddress(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// ResolveWithin bounds the search for an address.
const ResolveWithin = 5 * time.Second

type (
	host  struct{ Name string }
	found struct{ Addresses []netip.Addr }
)

var resolver = worker.Job[host, found]{
	Name: "resolve-worker", Short: "Find the addresses of a store's server",
	Answer: func(ctx context.Context, h host, _ []*os.File) (found, error) {
		ctx, cancel := context.WithTimeout(ctx, ResolveWithin)
		defer cancel()
		addresses, err := Lookup(ctx, h.Name)
		return found{addresses}, err
	},
}

// ResolveCommand is a process that has the network and finds an address for one that has not.
var ResolveCommand = resolver.Command()

// LookupBy is the Resolve of a process without the network: start starts ResolveCommand.
func LookupBy(start func(context.Context) (*worker.Process, error)) Resolve {
	return func(ctx context.Context, name string) ([]netip.Addr, error) {
		p, err := start(ctx)
		if err != nil {
			return nil, err
		}
		defer p.Kill()
		answer, err := resolver.Ask(ctx, p, host{name})
		return answer.Addresses, err
	}
}

// equipmentFiles is how many descriptors equipment returns.
const equipmentFiles = 2

// equipment seals the secret and the certificates of options, and clears the secret.
func equipment(o store.Options) (files []*os.File, err error) {
	defer clear(o.Secret)
	for _, content := range [][]byte{o.Secret, o.CA} {
		f, err := socket.SealedMemfd(content)
		if err != nil {
			socket.CloseAll(files)
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

// unpackEquipment is the reverse, in the worker. systemd hands a credential to the worker itself.
func unpackEquipment(o *store.Options, files []*os.File) (err error) {
	if len(files) != equipmentFiles {
		return errors.New("the first packet has no equipment")
	}
	if o.Secret, err = socket.ReadSecret(files[0], maxSecret); err != nil {
		return err
	}
	if o.CA, err = socket.ReadSecret(files[1], worker.MaxCA); err != nil {
		return err
	}
	if name := o.Text(driver.Credential.Name); name != "" {
		if o.Secret, err = worker.Credential(name, maxSecret); err != nil {
			return driver.Unavailable(err)
		}
		o.Secret = worker.FirstLine(o.Secret)
	}
	return nil
}

// authorities are the folders with the certificates that a system trusts.
var authorities = []string{"/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates"}

// confineToNetwork leaves a worker the server's port and, unless it got certificates, those that the
// system trusts: no other file, and no other port, as far as the kernel supports it. A Unix socket has
// neither a port nor TLS.
func confineToNetwork(o store.Options, e driver.Endpoint) error {
	var rules []landlock.Rule
	if e.Socket == "" && len(o.CA) == 0 {
		rules = append(rules, landlock.RODirs(authorities...).IgnoreIfMissing())
	}
	if port, err := strconv.ParseUint(e.Port, 10, 16); err == nil && e.Socket == "" {
		rules = append(rules, landlock.ConnectTCP(uint16(port)))
	}
	if err := landlock.V5.BestEffort().Restrict(rules...); err != nil {
		return fmt.Errorf("cannot confine the worker to its server: %w", err)
	}
	return nil
}
