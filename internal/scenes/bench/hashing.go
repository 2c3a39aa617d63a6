package main

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/internal/crypt"
	"github.com/shadowsync/shadowsync/internal/crypt/format"
)

// hashing measures what it costs to verify and to generate, per format, against
// libxcrypt, which is what perl's crypt calls.
func hashing(ctx context.Context) error {
	heading("hashes against libxcrypt")
	token := []byte("Velvet-4711-quorum")
	for _, f := range format.Formats() {
		if !f.CanGenerate() || f == format.APR1 { // apr1 is no format of libxcrypt's
			continue
		}
		hash, err := crypt.Generate(f, token)
		if err != nil {
			return err
		}
		once := elapsed(1, func() { _, _ = crypt.Verify(hash, token) }) // seen to work below
		n := max(3, int(400*time.Millisecond/max(once, time.Microsecond)))
		if ok, err := crypt.Verify(hash, token); !ok || err != nil {
			return fmt.Errorf("%s: %v, %v", f, ok, err)
		}
		verify := elapsed(n, func() { _, _ = crypt.Verify(hash, token) })
		generate := elapsed(n, func() { _, _ = crypt.Generate(f, token) })
		theirs, err := perl(ctx, string(token), hash, n)
		if err != nil {
			return err
		}
		fmt.Printf("%-14s verify %8.3f ms, generate %8.3f ms, libxcrypt %8.3f ms: ratios %.2f and %.2f\n", f,
			ms(verify), ms(generate), ms(theirs), float64(verify)/float64(theirs), float64(generate)/float64(theirs))
	}
	return nil
}

// elapsed is the time of one of n calls.
func elapsed(n int, do func()) time.Duration {
	begin := time.Now()
	for range n {
		do()
	}
	return time.Since(begin) / time.Duration(n)
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func perl(ctx context.Context, token, hash string, n int) (time.Duration, error) {
	const script = `use Time::HiRes "time"; my ($t, $h, $n) = @ARGV; my $a = time; for (1..$n) { crypt($t, $h) eq $h or die } print int((time - $a) * 1e9 / $n)`
	out, err := exec.CommandContext(ctx, "perl", "-e", script, token, hash, strconv.Itoa(n)).Output()
	if err != nil {
		return 0, fmt.Errorf("cannot measure libxcrypt: %w", err)
	}
	ns, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	return time.Duration(ns), err
}
