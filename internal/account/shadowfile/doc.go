// Package shadowfile is the OS side: it reads, locks and replaces the shadow(5) file beneath a root
// directory, and implements shadowsync.Accounts.
//
// What it promises:
//
//   - Every line that it was not asked to change stays byte for byte as it was, even a malformed
//     one. In a changed line it rewrites only the changed fields.
//   - It takes the same line for an account as glibc's fgetspent(3), so that it sees the password
//     that login sees.
//   - It replaces the file under the locks that shadow-utils and pam_unix honour, with fsync,
//     rename and fsync of the folder: after a power loss, and for every reader, there is either the
//     old file or the new one. Owner, mode, ACL, SELinux label and the other extended attributes
//     stay.
//   - It opens nothing outside the root directory, whatever symbolic links the system beneath it
//     has.
//
// It knows only accounts of the local files. It never asks name service modules, so accounts of
// LDAP or sssd are left alone.
//
// Its limits: a stopped holder of the locks (SIGSTOP), or vipw with its editor open, keeps
// everybody out, passwd(1) too; Write then ends with its context and names the holder. A lock that
// outlived a reboot counts as held if another process now has its pid, as with shadow-utils. And
// pam_unix drops comments and malformed lines whenever it changes a password; this package does
// not.
//
// Where to look:
//
//	file.go     File: Revision, Read, Write
//	entry.go    one line, as glibc parses it
//	rewrite.go  a line with some fields changed
//	users.go    lines of passwd(5) and group(5): uids, password fields, members
//	tree.go     opening and reading beneath the root directory
//	lock.go     the locks
//	replace.go  the replacement
//	unmanaged.go what an older image has besides the managed accounts
//	image.go    the identity of the installed system image
//	badlines.go lines that glibc does not accept
//	census.go   every name of passwd(5), group(5) and gshadow(5)
//	person.go   what passwd(5) and group(5) say about an account
//	shell.go    another login shell, in a mounted system
package shadowfile
