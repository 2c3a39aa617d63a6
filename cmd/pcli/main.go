// Command pcli is the operators' shell; see package pcli.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/term/argv"
	"github.com/shadowsync/shadowsync/internal/term/exit"
	"github.com/shadowsync/shadowsync/pcli"
)

// The linker sets version, for example with -X main.version=1.2.3.
var version = "devel"

func main() {
	os.Exit(run(argv.Hide(hidden)[1:]))
}

// hidden marks every word except the options: a password may be in a command, or in its place.
func hidden(words []string) []bool {
	hide := make([]bool, len(words))
	for i, word := range words {
		hide[i] = i > 0 && !slices.Contains([]string{"-c", "-stdin", "--stdin", "-socket", "--socket"}, word)
	}
	return hide
}

func run(arguments []string) int {
	o := pcli.Options{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Terminal: os.Getenv("TERM")}
	set := flag.NewFlagSet("pcli", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.StringVar(&o.Command, "c", "", "")
	set.BoolVar(&o.Answers, "stdin", false, "")
	set.StringVar(&o.Socket, "socket", "", "")
	man := set.Bool("man", false, "")
	showVersion := set.Bool("version", false, "")
	err := set.Parse(arguments)
	set.Visit(func(f *flag.Flag) { o.OneCommand = o.OneCommand || f.Name == "c" })
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Print(usage)
		return 0
	case err == nil && set.NArg() > 0 && !o.OneCommand: // after -c COMMAND a shell accepts $0 and arguments
		err = fmt.Errorf("unknown option %q; give a command with -c", set.Arg(0))
	}
	switch {
	case err != nil:
		fmt.Fprintf(os.Stderr, "pcli: %v\n%s", err, usage)
		return exit.Usage
	case *man:
		fmt.Print(pcli.Man(version))
		return 0
	case *showVersion:
		fmt.Println("pcli", version)
		return 0
	}
	harden()
	return pcli.Run(context.Background(), o)
}

const usage = `usage: pcli [--stdin] [-c COMMAND]
  -c COMMAND  run one command and exit with its status
  --stdin     answer questions, for passwords too, from standard input
  --version   print the version
`

// harden keeps passwords out of core dumps, and keeps other processes of the same user from reading
// this process's memory.
func harden() {
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
}
