package state

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// commitForEver journals and commits change after change, and prints the number of each
// acknowledged one.
func commitForEver(dir string) {
	ctx := context.Background()
	db, err := Open(ctx, dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	n, err := db.Verify(ctx)
	for i := n + 1; err == nil; i++ {
		name := accountName(i % 7)
		if err = db.Journal(ctx, application, []shadowsync.Change{sampleChange(name, i)}); err == nil {
			err = db.Commit(ctx, application, []shadowsync.Transition{sampleTransition(name, i)})
		}
		if err == nil {
			_, err = fmt.Println(i)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// TestKillWhileCommitting: what was acknowledged before kill -9 is still there afterwards.
func TestKillWhileCommitting(t *testing.T) {
	dir := t.TempDir()
	total := 0
	for round := range 15 {
		acknowledged := killed(t, dir, round%2 == 1)
		db := openIn(t, dir)
		n, err := db.Verify(t.Context())
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if n < acknowledged {
			t.Fatalf("round %d: %d changes were acknowledged, %d are in the audit", round, acknowledged, n)
		}
		checkCommitted(t, db, n)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		total = max(total, acknowledged)
	}
	if total == 0 {
		t.Fatal("no child ever got to commit: this test proves nothing")
	}
	t.Logf("%d changes acknowledged", total)
}

// killed runs a committing child, kills it some time after its start or after its first commit, and
// returns the last number it acknowledged.
func killed(t *testing.T, dir string, committing bool) int {
	t.Helper()
	cmd := child(t, "commit", dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	moment := time.Duration(20+rand.IntN(60)) * time.Millisecond
	wait := moment
	if committing {
		wait = time.Minute
	}
	timer := time.AfterFunc(wait, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	last := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if committing && last == 0 {
			timer.Reset(moment)
		}
		if i, err := strconv.Atoi(lines.Text()); err == nil {
			last = i
		}
	}
	_ = cmd.Wait()
	return last
}

// checkCommitted checks that every table has all of the n-th change, and no other change.
func checkCommitted(t *testing.T, db *DB, n int) {
	t.Helper()
	if n == 0 {
		return
	}
	name := accountName(n % 7)
	m := load(t, db, []string{name}).Accounts[name]
	if m.Baseline == nil || *m.Baseline != samplePair(n) || m.LastChange.PID != 4711+n || len(m.Record) == 0 || m.Record[0].OS != samplePair(n-1).OS {
		t.Fatalf("after %d changes %s is %+v", n, name, m)
	}
	due, err := db.Logouts(t.Context(), application)
	if err != nil || len(due) != n {
		t.Fatalf("%d logouts are due after %d changes (%v)", len(due), n, err)
	}
}
