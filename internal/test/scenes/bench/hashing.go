package main

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/internal/password/crypt"
	"github.com/shadowsync/shadowsync/internal/password/crypt/format"
)

// turns is how often each way is measured. The ways alternate, so that a machine that becomes
// slower affects all of them; the medians hide that.
const turns = 15

// hashing measures the cost of verifying and generating per format, compared with libxcrypt, which
// perl's crypt calls.
func hashing(ctx context.Context) error {
	heading("hashes against libxcrypt")
	for _, f := range format.Formats() {
		if !f.CanGenerate() || f == format.APR1 { // libxcrypt has no apr1
			continue
		}
		if err := hashingBy(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

func hashingBy(ctx context.Context, f format.Format) error {
	token := []byte("Velvet-4711-quorum")
	hash, err := crypt.Generate(f, token)
	if err != nil {
		return err
	}
	if ok, err := crypt.Verify(hash, token); !ok || err != nil {
		return fmt.Errorf("%s: %v, %v", f, ok, err)
	}
	once := elapsed(1, func() { _, _ = crypt.Verify(hash, token) }) // succeeded above
	n := max(1, int(50*time.Millisecond/max(once, time.Microsecond)))
	var verify, generate, theirs []int64
	for range turns {
		verify = append(verify, int64(elapsed(n, func() { _, _ = crypt.Verify(hash, token) })))
		generate = append(generate, int64(elapsed(n, func() { _, _ = crypt.Generate(f, token) })))
		t, err := perl(ctx, string(token), hash, n)
		if err != nil {
			return err
		}
		theirs = append(theirs, int64(t))
	}
	v, g, t := quantile(verify, 0.5), quantile(generate, 0.5), quantile(theirs, 0.5)
	fmt.Printf("%-14s verify %8.3f ms, generate %8.3f ms, libxcrypt %8.3f ms: ratios %.2f and %.2f\n",
		f, float64(v)/1e6, float64(g)/1e6, float64(t)/1e6, float64(v)/float64(t), float64(g)/float64(t))
	return nil
}

// elapsed is the average time of n calls.
func elapsed(n int, do func()) time.Duration {
	begin := time.Now()
	for range n {
		do()
	}
	return time.Since(begin) / time.Duration(n)
}

func perl(ctx context.Context, token, hash string, n int) (time.Duration, error) {
	const script = `use Time::HiRes "time"; my ($t, $h, $n) = @ARGV; my $a = time; for (1..$n) { crypt($t, $h) eq $h or die } print int((time - $a) * 1e9 / $n)`
	out, err := exec.CommandContext(ctx, "perl", "-e", script, token, hash, strconv.Itoa(n)).Output()
	if err != nil {
		return 0, fmt.Errorf("cannot measure libxcrypt: %w", err)
	}
	ns, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	return time.Duration(ns), err
}
