// Command bench measures shadowsync and comparable programs on the same machine in the same run,
// and prints medians and ratios. "make bench" runs it.
//
//	main.go     the parts, and what they share
//	latency.go  from the rename of /etc/shadow to a durable row, against a systemd.path unit and an inotifywait loop
//	hook.go     the start hook with nothing changed, against pwck and a plain read
//	passwd.go   passwd with and without the PAM module
//	bulk.go     setting passwords: ten thousand against chpasswd -c, and a single one
//	hashing.go  verifying and generating hashes, against libxcrypt
//	pcli.go     an operator's waiting times, against other shells and passwd
//	factor.go   second factors: the check of a code among ten thousand enrolled accounts
//	login.go    ssh with a code against ssh without
//	flood.go    others' waiting times during an attack by an unprivileged user
//	sql.go      a table in PostgreSQL: writes, and ten thousand accounts
//	web.go      a person's waiting times at the page
//	rest.go     memory and wake-ups at rest, the unit's exposure
//
// A word on the command line selects only the part of that file.
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	if err := machine.Available(); err != nil {
		return err
	}
	for _, part := range []struct {
		name string
		run  func(context.Context) error
	}{{"latency", latency}, {"passwd", passwd}, {"bulk", bulk}, {"hashing", hashing}, {"pcli", operatorShell}, {"flood", floods}, {"factor", factors}, {"web", thePage}, {"rest", atRest}, {"hook", hooks}, {"sql", queries}} {
		if len(os.Args) > 1 && os.Args[1] != part.name {
			continue
		}
		if err := part.run(ctx); err != nil {
			return err
		}
	}
	return nil
}

// buildProgram builds one of the programs that measure on the machine, or attack it. source is its
// folder relative to this one. The program is in a temporary folder, which the caller removes.
func buildProgram(ctx context.Context, source string, settings ...string) (string, error) {
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, filepath.Base(source))
	cmd := exec.CommandContext(ctx, "go", "build", "-o", program, "./"+filepath.Join("internal/test/scenes/bench", source))
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0"), settings...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("cannot build %s: %w\n%s", source, err, out)
	}
	return program, nil
}

// bench is a machine with the helpers that the measurements need.
type bench struct{ *machine.Machine }

// stage boots a machine with an application whose store is configured by store.
func stage(ctx context.Context, store string) (*bench, error) {
	return stageOn(ctx, machine.Bare, store)
}

// stageOn is stage on a machine with a layer of packages.
func stageOn(ctx context.Context, layer machine.Layer, store string) (*bench, error) {
	m, err := machine.New(ctx, machine.Bookworm, machine.Options{Layer: layer})
	if err != nil {
		return nil, err
	}
	b := &bench{m}
	return b, b.wire(ctx, store)
}

func (b *bench) wire(ctx context.Context, store string) error {
	if err := b.InstallAppliance(ctx, machine.Appliance{}); err != nil {
		return err
	}
	if err := b.InstallShadowsync(ctx); err != nil {
		return err
	}
	config := "[[application]]\nname = \"conductor\"\nunit = \"128T.service\"\naccounts = [\"admin\", \"user222\"]\n[application.store]\n" + store
	if err := b.WriteFile(ctx, "/etc/shadowsync/shadowsync.toml", []byte(config), 0o600); err != nil {
		return err
	}
	_, err := b.sh(ctx, "shadowsync setup --first os")
	return err
}

// sh runs a script that must succeed, and returns what it printed.
func (b *bench) sh(ctx context.Context, script string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	r, err := b.Exec(ctx, machine.Shell(script))
	if err == nil && r.Code != 0 {
		err = fmt.Errorf("%s: %s", script, r)
	}
	return strings.TrimSpace(r.Stdout), err
}

// times runs a script that prints one line "NAME MICROSECONDS" per measurement.
func (b *bench) times(ctx context.Context, script string) (map[string][]int64, error) {
	out, err := b.sh(ctx, script)
	if err != nil {
		return nil, err
	}
	times := map[string][]int64{}
	for line := range strings.Lines(out) {
		var name string
		var us int64
		if _, err := fmt.Sscan(line, &name, &us); err != nil {
			return nil, fmt.Errorf("%q is no measurement: %w", line, err)
		}
		times[name] = append(times[name], us)
	}
	return times, nil
}

const (
	sqliteStore = "driver = \"sqlite\"\n"
	jsonStore   = "driver = \"json\"\npath = \"" + machine.StorePath + "\"\nusers = \"" + machine.StoreUsers + "\"\nname = \"name\"\npassword = \"password\"\n"
)

// quantile returns a quantile of an unsorted sample; 0 if it is empty.
func quantile[T int64 | float64](sample []T, q float64) T {
	if len(sample) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(sample))
	return s[min(len(s)-1, int(q*float64(len(s))))]
}

func heading(text string) { fmt.Printf("\n%s\n%s\n", text, strings.Repeat("-", len(text))) }
