package base

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// A Layer is a set of packages on top of a release, by its name.
type Layer string

// The layers. None of their services is enabled: a scene starts what it needs.
const (
	Bare       Layer = ""           // the release alone
	Apps       Layer = "apps"       // servers that keep passwords of their own
	WordPress  Layer = "wordpress"  // WordPress 6.8 needs trixie: bookworm's 6.1 knows no $wp hashes. And trixie's database servers
	Directory  Layer = "directory"  // a directory server, and both ways in which Debian asks one
	Mail       Layer = "mail"       // a mail server that wants a login over TLS
	Peers      Layer = "peers"      // other modules that ask for second factors
	Shells     Layer = "shells"     // another shell for operators
	Browser    Layer = "browser"    // Chromium, and a mail server
	Compilers  Layer = "compilers"  // no machine's: packages of shadowsync are built in it, for two architectures
	Examiners  Layer = "examiners"  // no machine's: programs that examine packages
	Authselect Layer = "authselect" // Fedora's tool for the PAM stacks, with Fedora's stacks
	Cockpit    Layer = "cockpit"    // the web console, whose page of accounts changes passwords too
	Tracer     Layer = "tracer"     // a program that tells what others open
	Tester     Layer = "tester"     // Debian's program for the tests that a source package brings
)

// layers say what each consists of, and before it is built, how long that takes and how large it is.
var layers = map[Layer]struct {
	packages []string
	told     string
}{
	Apps: {[]string{
		"mosquitto", "mosquitto-clients", "nginx-light", "apache2-utils", "dovecot-imapd", "slapd", "ldap-utils",
		"postgresql", "pgbouncer", "python3-django", "python3-psycopg2", "python3-passlib", "mariadb-server",
		"samba", "smbclient", "freeradius", "freeradius-utils", "php-cli", "curl",
	}, "about a minute and 750 MB"},
	WordPress: {[]string{"wordpress", "mariadb-server", "php-cli", "php-mysql", "curl", "postgresql", "pgbouncer"}, "about a minute and 520 MB"},
	Directory: {[]string{
		"slapd", "ldap-utils", "sssd-ldap", "libnss-sss", "libpam-sss", "nslcd", "libnss-ldapd", "libpam-ldapd",
	}, "about 15 seconds and 100 MB"},
	Mail:    {[]string{"exim4-daemon-light", "openssl"}, "about 10 seconds and 10 MB"},
	Peers:   {[]string{"libpam-google-authenticator", "libpam-oath", "pamtester"}, "about 10 seconds and 2 MB"},
	Shells:  {[]string{"frr"}, "about 20 seconds and 60 MB"},
	Browser: {[]string{"chromium", "chromium-sandbox", "fonts-dejavu-core", "exim4-daemon-light", "openssl"}, "about a minute and a half and 650 MB"},
	Compilers: {[]string{
		"build-essential", "debhelper", "pkg-config", "libpam0g-dev", "libcrypt-dev",
		"gcc-aarch64-linux-gnu", "libpam0g-dev:arm64", "libcrypt-dev:arm64",
	}, "about 45 seconds and 700 MB"},
	Examiners: {[]string{
		"lintian", "rpm", "rpmlint", "apparmor", "selinux-policy-dev", "selinux-policy-default", "semodule-utils", "policycoreutils", "setools",
	}, "about a minute and 400 MB"},
	Authselect: {[]string{"authselect"}, "about 10 seconds and 2 MB"},
	Cockpit:    {[]string{"cockpit-ws", "cockpit-bridge", "cockpit-system"}, "about 10 seconds and 45 MB"},
	Tracer:     {[]string{"strace"}, "about 5 seconds and 5 MB"},
	Tester:     {[]string{"autopkgtest"}, "about 15 seconds and 90 MB"},
}

// layerScript installs packages with the overlay $1/root as its root. The base below stays as it is: what
// changes is in $1/upper. Beside a server, Debian's packages enable it, and some start it without asking.
const layerScript = `set -e
building=$1 base=$2
shift 2
root=$building/root
mount -t overlay overlay -o "lowerdir=$base,upperdir=$building/upper,workdir=$building/work" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
for file in resolv.conf hosts; do cp --remove-destination "/etc/$file" "$root/etc/$file"; done
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
# A machine's disk is in memory, and the redo log, of 96 MB otherwise, is copied there.
mkdir -p "$root/etc/mysql/conf.d"
printf '[mariadbd]\ninnodb_log_file_size=8M\n' >"$root/etc/mysql/conf.d/machine.cnf"
exec chroot "$root" /bin/sh -c "$LAYER_INSIDE" sh "$@"
`

// layerInside is what layerScript runs within.
const layerInside = `set -e
wanted() {
	systemctl --root=/ list-unit-files --no-legend --state=enabled | cut -d' ' -f1
	ls /etc/rc2.d | sed -n 's/^S[0-9]*//p'
}
wanted | sort -u >/run/before
apt-get -qq -o Acquire::Retries=5 update
apt-get -qy -o Acquire::Retries=5 --no-install-recommends -o Dpkg::Options::=--force-unsafe-io \
	-o Dpkg::Options::=--path-exclude=/usr/share/man/* -o Dpkg::Options::=--path-exclude=/usr/share/locale/* \
	-o Dpkg::Options::=--path-exclude=/usr/share/doc/* install "$@"
# A scene starts what it needs.
wanted | sort -u | comm -13 /run/before - | while read -r unit; do
	systemctl --quiet disable "$unit" || update-rc.d "$unit" disable
done
# It waits for a network that a machine does not have, 73 seconds at each boot.
systemctl --quiet mask nmbd.service
: >/etc/machine-id
rm -f /usr/sbin/policy-rc.d /etc/resolv.conf /etc/hosts
touch /etc/.updated /var/.updated
apt-get clean
rm -rf /var/lib/apt/lists/*
`

// layerKey identifies a layer by what it consists of and by the packages of the very tree below: one that
// was built again may have newer ones.
func layerKey(kind Kind, below string) (string, error) {
	status, err := os.ReadFile(filepath.Join(below, "var/lib/dpkg/status"))
	if err != nil {
		return "", fmt.Errorf("cannot identify a base tree: %w", err)
	}
	sum := sha256.New()
	for _, part := range []string{filepath.Base(below), string(status), strings.Join(layers[kind.Layer].packages, ","), layerScript, layerInside} {
		fmt.Fprintf(sum, "%d\n%s", len(part), part)
	}
	return fmt.Sprintf("%s-%x", kind.Name(), sum.Sum(nil)[:6]), nil
}

// foreign returns the commands that let apt-get install the packages of other architectures
// ("libpam0g-dev:arm64").
func (l Layer) foreign() (commands string) {
	for _, name := range layers[l].packages {
		if _, architecture, ok := strings.Cut(name, ":"); ok {
			commands += "dpkg --add-architecture " + architecture + "\n"
		}
	}
	return commands
}

// install makes a layer on top of the tree below.
func (l Layer) install(ctx context.Context, into, below string, progress io.Writer) error {
	building := into + ".overlay"
	if err := os.RemoveAll(building); err != nil {
		return fmt.Errorf("cannot clear an unfinished layer: %w", err)
	}
	defer os.RemoveAll(building)
	for _, folder := range []string{"upper", "work", "root"} {
		if err := os.MkdirAll(filepath.Join(building, folder), 0o755); err != nil {
			return fmt.Errorf("cannot prepare a layer: %w", err)
		}
	}
	command := privately(ctx, append([]string{"/bin/sh", "-c", layerScript, "sh", building, below}, layers[l].packages...)...)
	command.Env = append(proxyEnvironment(ctx), "PATH="+chrootPath, "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", "LAYER_INSIDE="+l.foreign()+layerInside)
	if err := follow("apt-get", command, progress); err != nil {
		return err
	}
	return os.Rename(filepath.Join(building, "upper"), into)
}
