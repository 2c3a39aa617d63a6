package socket

import (
	"bytes"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/race"
)

// TestBufferIsShared: a short packet does not cost the memory of the longest, and no later packet
// meets its bytes.
func TestBufferIsShared(t *testing.T) {
	a, b := pair(t)
	ctx := background(t)
	var before, after runtime.MemStats
	const packets = 100
	runtime.ReadMemStats(&before)
	for range packets {
		if err := a.Send(ctx, message{"pam-changed", "admin"}); err != nil {
			t.Fatal(err)
		}
		var m message
		if _, err := b.Receive(ctx, &m); err != nil || m.User != "admin" {
			t.Fatal(m, err)
		}
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / packets; each > MaxPacket/4 && !race.Enabled {
		t.Errorf("%d bytes allocated for each packet", each)
	}
}

// TestBufferIsWiped: also if the packet is not understood.
func TestBufferIsWiped(t *testing.T) {
	a, b := pair(t)
	for _, failure := range []error{nil, errors.New("not understood")} {
		sendRaw(t, a, "a code of somebody's")
		var kept []byte
		_, err := b.receive(background(t), func(packet []byte) error {
			if string(packet) != "a code of somebody's" {
				t.Errorf("received %q", packet)
			}
			kept = packet
			return failure
		})
		if !errors.Is(err, failure) || len(kept) == 0 || len(bytes.Trim(kept, "\x00")) > 0 {
			t.Errorf("error %v, left behind: %q", err, kept)
		}
	}
}

// TestBufferOfALongPacket: a limit above the default needs a buffer of its own, and what arrives
// while others wait is not mixed up.
func TestBufferOfALongPacket(t *testing.T) {
	a, b := pair(t)
	for _, c := range []*Conn{a, b} {
		if err := c.SetLimits(MaxPacket+1000, 0); err != nil {
			t.Skip(err)
		}
	}
	want := message{"long", strings.Repeat("x", MaxPacket+500)}
	go func() { _ = a.Send(background(t), want) }()
	var got message
	if _, err := b.Receive(background(t), &got); err != nil || got != want {
		t.Errorf("%d bytes, %v", len(got.User), err)
	}
}
