package systemd

import (
	"os"
	"testing"
	"time"
)

// TestNoticeIsBound: the unit of the administrator's program has what shadowsync.toml(5) promises.
func TestNoticeIsBound(t *testing.T) {
	got := map[string]any{}
	for _, p := range (NoticeUnit{Name: "1", Program: "/tell", User: "nobody", Stdin: os.Stdin, Deadline: 10 * time.Second}).properties() {
		got[p.Name] = p.Value.Value()
	}
	for name, want := range map[string]any{
		"User": "nobody", "NoNewPrivileges": true, "ProtectHome": "read-only", "PrivateTmp": true, "LimitCORE": uint64(0),
		"MemorySwapMax": uint64(0), "MemoryMax": uint64(256 << 20), "TasksMax": uint64(32), "Type": "oneshot",
		"TimeoutStartUSec": uint64(10_000_000), "LogRateLimitBurst": uint32(50), "LogRateLimitIntervalUSec": uint64(30_000_000),
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
}
