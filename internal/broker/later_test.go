package broker

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestAwait: the store is looked at within two seconds after its server became active, each time.
func TestAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		began := time.Now()
		active := func(context.Context) (bool, error) {
			switch since := time.Since(began); {
			case since < 21*time.Second:
				return false, nil
			case since < 25*time.Second:
				return false, errors.New("no bus")
			case since > 70*time.Second && since < 131*time.Second:
				return false, nil
			}
			return true, nil
		}
		var told []time.Duration
		await(ctx, active, func() { told = append(told, time.Since(began)) })
		if want := []time.Duration{26 * time.Second, 132 * time.Second}; !slices.Equal(told, want) {
			t.Errorf("told after %v, want %v", told, want)
		}
	})
}
