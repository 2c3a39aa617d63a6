package protect

// Groups are the groups whose members can become root on their own, or read what makes them root,
// on Debian, Fedora and their descendants. They are protected whatever the configuration says, even
// before the group exists: the package that gives a group its power may be installed later than the
// account. Gid 0 counts under any name.
//
// Ubuntu's old admin group is not listed, because it is also the private group of every account
// named admin. Where sudoers has its rule, sudo reports it.
var Groups = []string{
	// Rules that the distributions ship for sudo(8), pam_wheel and polkit.
	"root",  // gid 0; files of root that the group may write
	"sudo",  // Debian: %sudo in sudoers, and polkit's administrators
	"wheel", // Fedora: %wheel in sudoers; pam_wheel, polkit

	// Groups that may read or write what root trusts.
	"shadow",  // reads every hash
	"disk",    // reads and writes the disks beneath every file system
	"tape",    // reads and writes the backups, /etc/shadow in them
	"kmem",    // reads the kernel's memory
	"staff",   // Debian: writes /usr/local, which comes first in root's PATH
	"src",     // Debian: writes /usr/src, from which root builds kernel modules
	"input",   // reads the keyboards on which root types
	"tty",     // writes to root's terminals, some of which answer as if root had typed
	"sys",     // Fedora: administers CUPS, whose daemon runs filters as root
	"lpadmin", // Debian: the same
	"netdev",  // Debian: makes wpa_supplicant, which runs as root, load libraries (CVE-2024-5290)
	"adm",     // reads all logs: passwords typed as user names, tokens in URLs
	// Reads the journal, with core dumps of root's processes in it.
	"systemd-journal",

	// Root's daemons that start whatever their clients ask for, with access to any folder of the
	// host.
	"docker", "podman", "containerd",
	"lxd", "lxc", "incus", "incus-admin",
	"microk8s", "snap_microk8s",
	"libvirt", "libvirtd", "libvirt-qemu", // virtual machines on the host's disks
	"kvm", "qemu", // the memory and the disks of virtual machines
	"vboxusers", // VirtualBox: raw disks and USB devices
	"mock",      // Fedora: builds in a root shell; its manual says the group equals root
}
