package engine_test

import (
	"os"
	"testing"

	"github.com/shadowsync/shadowsync/internal/detect/origin"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// TestUnpinnedPeer: if the kernel does not pin the pid, facts from /proc are marked as not verified.
func TestUnpinnedPeer(t *testing.T) {
	p := origin.OfPeer(socket.Peer{PID: os.Getpid()})
	if !p.Unpinned {
		t.Fatal("a peer without a pidfd is pinned")
	}
	if o := new(engine.Engine).OriginOf(p, shadowsync.SeenByPAM); o.Unverified != "program and login" || o.Program == "" {
		t.Errorf("told as %+v", o)
	}
	// For a peer that is gone there are no facts, so none is marked.
	p = origin.OfPeer(socket.Peer{PID: 1 << 30})
	if o := new(engine.Engine).OriginOf(p, shadowsync.SeenByPAM); o.Unverified != "" || o.Program != "" {
		t.Errorf("one that is gone: %+v", o)
	}
}
