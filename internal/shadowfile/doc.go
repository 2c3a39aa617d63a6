// Package shadowfile is the OS side: it reads, locks and replaces the shadow(5)
// file beneath a root directory, and implements shadowsync.Accounts.
//
// What it promises:
//
//   - Every line it was not asked to change stays byte for byte what it was,
//     malformed ones included; of a changed line only the changed fields are rewritten.
//   - What it takes for an account's line is what glibc's fgetspent(3) takes for
//     one, so that it sees the password that login sees.
//   - The file is replaced under the locks that shadow-utils and pam_unix honour,
//     by fsync, rename and fsync of the folder: a reader or a power loss meets
//     either the old file or the new one. Owner, mode, ACL, SELinux label and the
//     other extended attributes stay.
//   - Nothing outside the root directory is opened, whatever symbolic links the
//     system beneath it holds.
//
// Only accounts of the local files exist here: name service modules are never
// asked, so accounts of LDAP or sssd are left alone.
//
// What it cannot help: a holder of the locks that was stopped (SIGSTOP), or vipw
// with its editor open, keeps everybody out, passwd(1) too; Write then ends with its
// context and names the holder. A lock that outlived a reboot counts as held if
// another process has its pid now, as it does for shadow-utils. And pam_unix drops
// comments and malformed lines whenever it changes a password; we do not.
//
// Where to look:
//
//	file.go     File: Revision, Read, Write, Unmanaged
//	entry.go    one line, as glibc parses it
//	rewrite.go  a line with some fields changed
//	users.go    uid and protection from passwd(5) and group(5)
//	tree.go     opening and reading beneath the root directory
//	lock.go     the locks
//	replace.go  the replacement
//	image.go    the identity of the installed system image
package shadowfile
