// Package readme tests that README.md and the pages of docs/ agree with the programs, and
// that the README stays short.
//
//	readme_test.go         length, links, make's targets, and what the other files use
//	commands_test.go       commands, their options and exit statuses, man pages
//	configuration_test.go  keys, examples, stores and their schema
package readme
