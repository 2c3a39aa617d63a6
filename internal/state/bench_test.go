package state

import (
	"context"
	"fmt"
	"testing"

	"github.com/shadowsync/shadowsync/shadowsync"
)

func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	openIn(b, dir).Close()
	for b.Loop() {
		db, err := Open(context.Background(), dir)
		if err != nil {
			b.Fatal(err)
		}
		db.Close()
	}
}

func BenchmarkJournal(b *testing.B) {
	db := openIn(b, b.TempDir())
	for i := 0; b.Loop(); i++ {
		journal(b, db, sampleChange("admin", i))
	}
}

func BenchmarkCommit(b *testing.B) {
	db := openIn(b, b.TempDir())
	for i := 0; b.Loop(); i++ {
		commit(b, db, sampleTransition("admin", i))
	}
}

// BenchmarkChange measures what one password change costs here: Journal, then Commit.
func BenchmarkChange(b *testing.B) {
	for _, others := range []int{0, 100_000} {
		b.Run(fmt.Sprintf("among-%d", others), func(b *testing.B) {
			db := openIn(b, b.TempDir())
			fill(b, db, others, nil)
			for i := 0; b.Loop(); i++ {
				journal(b, db, sampleChange("admin", i))
				commit(b, db, sampleTransition("admin", i))
			}
		})
	}
}

func BenchmarkCommit10000(b *testing.B) {
	db := openIn(b, b.TempDir())
	for i := 0; b.Loop(); i++ {
		batch := make([]shadowsync.Transition, 10_000)
		for n := range batch {
			batch[n] = sampleTransition(accountName(n), i)
		}
		commit(b, db, batch...)
	}
}

func BenchmarkLoad(b *testing.B) {
	for _, full := range []bool{false, true} {
		db := openIn(b, b.TempDir())
		what := "baseline"
		var more func(*shadowsync.Transition)
		if full {
			what, more = "everything", func(t *shadowsync.Transition) {
				*t = sampleTransition(t.Account, 1)
				t.Events, t.Logout = nil, nil
			}
		}
		fill(b, db, 100_000, more)
		for _, n := range []int{0, 10, 1000, 10_000, 100_000} {
			names := make([]string, n)
			for i := range names {
				names[i] = accountName(i * (100_000 / n))
			}
			b.Run(fmt.Sprintf("%s/%d-of-100000", what, n), func(b *testing.B) {
				for b.Loop() {
					if m := load(b, db, names); len(m.Accounts) != n {
						b.Fatalf("%d accounts", len(m.Accounts))
					}
				}
			})
		}
		b.Run(what+"/all-of-100000", func(b *testing.B) {
			for b.Loop() {
				load(b, db, nil)
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	db := openIn(b, b.TempDir())
	fill(b, db, 100_000, func(t *shadowsync.Transition) { *t = sampleTransition(t.Account, 1) })
	b.Run("verify-100000", func(b *testing.B) {
		for b.Loop() {
			if n, err := db.Verify(context.Background()); n != 100_000 || err != nil {
				b.Fatal(n, err)
			}
		}
	})
	b.Run("last-10-of-one-account", func(b *testing.B) {
		for b.Loop() {
			for _, err := range db.Trail(context.Background(), Query{Account: accountName(7), Limit: 10}) {
				if err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}

func BenchmarkLock(b *testing.B) {
	l := NewLocker(b.TempDir(), "bench")
	for b.Loop() {
		lease, err := l.Acquire(context.Background())
		if err != nil {
			b.Fatal(err)
		}
		lease.Release()
	}
}
