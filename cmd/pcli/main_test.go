package main

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/shadowsync/shadowsync/"

// mayImport lists every package, our own and others', that the shell may import. Each is loaded at
// every login.
var mayImport = []string{
	"github.com/boombuler/barcode", // by internal/factor/qr
	"github.com/boombuler/barcode/qr",
	"github.com/boombuler/barcode/utils",
	"github.com/clipperhouse/displaywidth", // by internal/term/table
	"github.com/clipperhouse/uax29/v2/graphemes",
	"github.com/coreos/go-systemd/v22/activation", // by internal/wire/socket
	module + "cmd/pcli",
	module + "internal/factor/guide",
	module + "internal/factor/qr",
	module + "internal/term/argv",
	module + "internal/term/exit",
	module + "internal/term/plural",
	module + "internal/term/printable",
	module + "internal/term/since",
	module + "internal/term/table",
	module + "internal/term/typo",
	module + "internal/wire/operator",
	module + "internal/wire/socket",
	module + "pcli",
	module + "pcli/console",
	module + "pcli/grammar",
	module + "shadowsync",
	"golang.org/x/sys/unix",
	"golang.org/x/term",
}

// The shell contains no C code, no store, and no package that starts slowly.
func TestImports(t *testing.T) {
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}{{if .CgoFiles}} cgo{{end}}", ".")
	list.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Fields(string(out))
	slices.Sort(got)
	if !slices.Equal(got, mayImport) {
		t.Errorf("the shell imports\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(mayImport, "\n"))
	}
}

func TestArguments(t *testing.T) {
	tests := []struct {
		arguments []string
		status    int
	}{
		{[]string{"--version"}, 0},
		{[]string{"--man"}, 0},
		{[]string{"--help"}, 0},
		{[]string{"--nonsense"}, 2},
		{[]string{"show", "user"}, 2},
		{[]string{"-c"}, 2},
		{[]string{"--socket", "/nonexistent", "-c", "show user", "name", "argument"}, 9},
		{[]string{"--socket", "/nonexistent", "-c", "exit 71;"}, 9}, // never 71: see TestNoUnixShell of the package pcli
	}
	for _, tt := range tests {
		t.Run(strings.Join(tt.arguments, " "), func(t *testing.T) {
			if status := run(tt.arguments); status != tt.status {
				t.Errorf("exit status %d, want %d", status, tt.status)
			}
		})
	}
}
