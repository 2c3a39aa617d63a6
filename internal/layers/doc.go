// Package layers holds the test that imports point downwards only:
//
//	cmd -> pcli, systemd, internal -> shadowsync
//
// pcli asks the broker for everything: of internal it stands on the packages of that
// conversation alone, and only a program stands on it. systemd stands on the domain and on
// printable alone, the domain on the standard library alone, and the machines that tests
// boot are part of no program.
package layers
