// Package readme holds the tests that the README says what the programs do: the
// commands and exit statuses of --help, the keys of the configuration, the
// columns of the embedded store, the targets of the Makefile.
package readme
