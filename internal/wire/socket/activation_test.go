package socket

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test binary act as other processes: a service that systemd started, and a
// hostile client.
func TestMain(m *testing.M) {
	if path := os.Getenv("SOCKET_TEST_FLOOD"); path != "" {
		flood(path)
	}
	if os.Getenv("SOCKET_TEST_ACTIVATED") != "" {
		activated()
		return
	}
	os.Exit(m.Run())
}

// activated prints what FromSystemd returned, and answers one connection on each.
func activated() {
	listeners, err := FromSystemd()
	if err != nil {
		fmt.Println("error:", err)
		return
	}
	again, err := FromSystemd()
	fmt.Println(len(listeners), len(again), err)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for name, l := range listeners {
		c, err := l.Accept(ctx)
		if err != nil {
			fmt.Println("error:", err)
			return
		}
		_ = c.Send(ctx, message{Op: name})
		_ = l.Close()
	}
}

func TestFromSystemd(t *testing.T) {
	tests := []struct {
		name, names string
		want        string
	}{
		{"two", "root:operator", "2 0 <nil>"},
		{"name twice", "root:root", "came twice"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			keepsDescriptors(t)
			dir := t.TempDir()
			paths := []string{filepath.Join(dir, "root"), filepath.Join(dir, "operator")}
			// The pid is known only inside the child.
			cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0"`, os.Args[0])
			cmd.Env = append(os.Environ(), "SOCKET_TEST_ACTIVATED=1", "LISTEN_FDS=2", "LISTEN_FDNAMES="+tt.names)
			for _, p := range paths {
				cmd.ExtraFiles = append(cmd.ExtraFiles, listen(t, p).file)
			}
			var out strings.Builder
			cmd.Stdout = &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			timer := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
			defer timer.Stop()
			if strings.HasSuffix(tt.want, "<nil>") {
				askEach(t, paths)
			}
			if err := cmd.Wait(); err != nil || !strings.Contains(out.String(), tt.want) {
				t.Errorf("%v: %q, want %q", err, out.String(), tt.want)
			}
		})
	}
}

// askEach connects to all before it reads from any, because the service's order of listeners is
// arbitrary.
func askEach(t *testing.T, paths []string) {
	t.Helper()
	var conns []*Conn
	for _, p := range paths {
		conns = append(conns, dial(t, p))
	}
	for i, c := range conns {
		var got message
		if _, err := c.Receive(background(t), &got); err != nil || got.Op != filepath.Base(paths[i]) {
			t.Errorf("%s answers %+v, %v", paths[i], got, err)
		}
		c.Close()
	}
}

func TestFromSystemdByHand(t *testing.T) {
	listeners, err := FromSystemd()
	if err != nil || len(listeners) != 0 {
		t.Errorf("%v, %v", listeners, err)
	}
}
