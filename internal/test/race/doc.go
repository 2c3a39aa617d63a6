// Package race tells tests whether they run under the race detector, which needs more memory
// and takes ten times as long.
//
//	on.go, off.go   the build takes one of them, by whether -race is set
package race
