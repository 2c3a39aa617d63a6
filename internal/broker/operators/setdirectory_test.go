package operators

import (
	"errors"
	"strings"
	"testing"
)

// TestEndReason: sessions of which nobody could tell are not said to have ended.
func TestEndReason(t *testing.T) {
	const doubt = "whether others stay open is not known: no bus"
	if got := EndReason(2, 1, nil); strings.Contains(got, "not known") {
		t.Error(got)
	}
	if got := EndReason(0, 0, errors.New("no bus")); !strings.HasSuffix(got, doubt) {
		t.Error(got)
	}
}
