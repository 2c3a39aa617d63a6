package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const module = "github.com/shadowsync/shadowsync/"

// mayImport lists every package, our own and others', that the page may import: it reads what strangers send.
var mayImport = []string{
	"github.com/boombuler/barcode", // by internal/factor/qr
	"github.com/boombuler/barcode/qr",
	"github.com/boombuler/barcode/utils",
	"github.com/coreos/go-systemd/v22/activation",
	"github.com/coreos/go-systemd/v22/daemon",
	module + "cmd/shadowsync-web",
	module + "cmd/shadowsync-web/front",
	module + "cmd/shadowsync-web/page",
	module + "internal/factor/guide",
	module + "internal/factor/qr",
	module + "internal/password/generate",
	module + "internal/term/exit",
	module + "internal/term/plural",
	module + "internal/term/printable",
	module + "internal/term/since",
	module + "internal/wire/socket",
	module + "shadowsync",
	module + "shadowsync/web",
	"golang.org/x/net/netutil",
	"golang.org/x/sys/unix",
	"golang.org/x/time/rate",
}

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
		t.Errorf("the page imports\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(mayImport, "\n"))
	}
}

func TestArguments(t *testing.T) {
	for arguments, status := range map[string]int{"--version": 0, "--help": 0, "--man": 0, "--nonsense": 2, "word": 2, "": 2} {
		if got := run(strings.Fields(arguments)); got != status {
			t.Errorf("%q: exit status %d, want %d", arguments, got, status)
		}
	}
}

// started runs the program with a socket as systemd passes it.
func started(t *testing.T, address string) (*exec.Cmd, string) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "shadowsync-web")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	command := exec.CommandContext(t.Context(), "sh", "-c", `LISTEN_PID=$$ exec "$0"`, program)
	command.Env = []string{"LISTEN_FDS=1"}
	command.ExtraFiles = []*os.File{file}
	return command, l.Addr().String()
}

// A real process on a real socket: it answers, keeps its memory private, and ends when it is told.
func TestProcess(t *testing.T) {
	command, address := started(t, "127.0.0.1:0")
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/style.css", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if text, err := io.ReadAll(answer.Body); err != nil || !strings.Contains(string(text), ":root") {
		t.Errorf("%v, %v, %.40q", answer.Header, err, text)
	}
	limits, err := os.ReadFile("/proc/" + strconv.Itoa(command.Process.Pid) + "/limits")
	if err == nil && !strings.Contains(strings.Join(strings.Fields(string(limits)), " "), "Max core file size 0 0") {
		t.Errorf("it may dump core:\n%s", limits)
	}
	if err := command.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err != nil {
		t.Error(err)
	}
}

// It does not carry passwords in clear text over a network.
func TestProcessRefusesPlainHTTP(t *testing.T) {
	command, _ := started(t, "0.0.0.0:0")
	out, err := command.CombinedOutput()
	if err == nil || command.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "there is no certificate") {
		t.Errorf("%v: %s", err, out)
	}
}
