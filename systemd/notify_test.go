package systemd

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestNotify(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	tests := []struct {
		name string
		do   func() error
		want string
	}{
		{"ready", func() error { return Ready("2 applications") }, "READY=1\nSTATUS=2 applications"},
		{"status", func() error { return Status("all in sync") }, "STATUS=all in sync"},
		{"foreign text", func() error { return Status("pending: x\nREADY=0\x1b[2J") }, `STATUS=pending: x\\nREADY=0\\x1b[2J`},
		{"long", func() error { return Status(strings.Repeat("x", 1000)) }, "STATUS=" + strings.Repeat("x", statusLength-len("…")) + "…"},
		{"keep-alive", KeepAlive, "WATCHDOG=1"},
		{"stopping", Stopping, "STOPPING=1"},
	}
	packet := make([]byte, 4096)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if err := test.do(); err != nil {
				t.Fatal(err)
			}
			if err := manager.SetReadDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			n, err := manager.Read(packet)
			if err != nil || string(packet[:n]) != test.want {
				t.Errorf("%q, %v; want %q", packet[:n], err, test.want)
			}
		})
	}
	t.Setenv("NOTIFY_SOCKET", path+"-gone")
	if err := Ready(""); err == nil {
		t.Error("nobody was told, and no error")
	}
	t.Setenv("NOTIFY_SOCKET", "")
	if err := Ready(""); err != nil {
		t.Errorf("with nobody to tell: %v", err)
	}
}

func TestKeepAliveInterval(t *testing.T) {
	t.Setenv("WATCHDOG_PID", "")
	for usec, want := range map[string]time.Duration{"": 0, "120000000": time.Minute} {
		t.Setenv("WATCHDOG_USEC", usec)
		if got, err := KeepAliveInterval(); err != nil || got != want {
			t.Errorf("WATCHDOG_USEC=%q: %v, %v; want %v", usec, got, err, want)
		}
	}
	t.Setenv("WATCHDOG_USEC", "soon")
	if _, err := KeepAliveInterval(); err == nil {
		t.Error("an odd interval gave no error")
	}
}
