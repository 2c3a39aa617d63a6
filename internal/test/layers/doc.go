// Package layers tests that imports point only downwards:
//
//	cmd -> pcli, systemd, internal -> shadowsync
//
// pcli asks the broker for everything. Of internal it imports only the packages for that
// conversation, and only a program may import pcli. systemd imports only the domain,
// printable and durable; the domain imports only the standard library; and no program
// contains the machines that tests boot.
//
// It also holds the tests of the map, of the lists of files and of the answers in CONTRIBUTING.md.
package layers
