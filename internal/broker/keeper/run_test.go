package keeper

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// TestRunAfterItsOwnNews: attempts that are news of the store do not follow each other without a pause, and do not
// delay what others have to say.
func TestRunAfterItsOwnNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		k := &Keeper{news: make(chan struct{}, 1)}
		pending := shadowsync.Report{Outcomes: []shadowsync.Outcome{{State: shadowsync.Pending}}}
		const told = 10500 * time.Millisecond
		time.AfterFunc(told, func() { k.Tell(Noticed) })
		began, attempts, heard := time.Now(), 0, time.Duration(0)
		k.Tell(Noticed)
		k.run(ctx, func(_ context.Context, req shadowsync.Request) (shadowsync.Report, error) {
			attempts++
			if since := time.Since(began); since > 0 && req.Origin.SeenBy == shadowsync.SeenByWatch && heard == 0 && since >= told {
				heard = since
			}
			if attempts > 1000 {
				cancel()
			}
			k.Tell(storeNews)
			return pending, nil
		})
		if attempts < 10 || attempts > 25 {
			t.Errorf("%d attempts in a minute", attempts)
		}
		if heard != told {
			t.Errorf("news of the OS after %v is heard after %v", told, heard)
		}
	})
}
