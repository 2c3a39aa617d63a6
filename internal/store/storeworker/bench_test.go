package storeworker

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/shadowsync/shadowsync/shadowsync"
)

func BenchmarkSpawn(b *testing.B) {
	path, _ := crowd(b, b.TempDir(), 10)
	for b.Loop() {
		c, err := Spawn(b.Context(), options(path))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := c.Revision(b.Context()); err != nil {
			b.Fatal(err)
		}
		if err := c.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkClient(b *testing.B) {
	for _, n := range []int{10, 100_000} {
		path, names := crowd(b, b.TempDir(), n)
		c := spawn(b, path)
		b.Run(fmt.Sprintf("Revision/%d", n), func(b *testing.B) {
			for b.Loop() {
				if _, err := c.Revision(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("Read/%d", n), func(b *testing.B) {
			for b.Loop() {
				if _, err := c.Read(b.Context(), names); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("Write/%d", n), func(b *testing.B) {
			before, err := c.Read(b.Context(), names)
			if err != nil {
				b.Fatal(err)
			}
			present := before.Accounts
			for round := 0; b.Loop(); round++ {
				var writes []shadowsync.Write
				for name, r := range present {
					w := shadowsync.Write{Name: name, Expect: r.Credential, Want: r.Credential}
					w.Want.Hash = fmt.Sprintf("$6$saltsalt$%086d", round)
					writes = append(writes, w)
					present[name] = shadowsync.StoredAccount{Credential: w.Want}
				}
				if left, err := c.Write(b.Context(), writes); err != nil || len(left) > 0 {
					b.Fatal(len(left), err)
				}
			}
		})
		b.Run(fmt.Sprintf("AtRest/%d", n), func(b *testing.B) {
			if _, err := c.Watch(context.WithoutCancel(b.Context())); err != nil {
				b.Fatal(err)
			}
			pid := workerOf(b, c)
			for b.Loop() {
			}
			b.ReportMetric(float64(proportionalSet(b, pid)), "PSS-KiB")
			b.ReportMetric(0, "ns/op")
		})
		if err := c.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// proportionalSet returns a process's memory in KiB, with shared pages divided among their users.
func proportionalSet(t testing.TB, pid int) int {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "smaps_rollup"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^Pss: +(\d+) kB$`).FindSubmatch(raw)
	if found == nil {
		t.Fatalf("no PSS in %s", raw)
	}
	n, err := strconv.Atoi(string(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
