package socket

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/test/eventually"
)

type message struct {
	Op   string `json:"op"`
	User string `json:"user"`
}

// background returns a context that ends well before the test binary does.
func background(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// pair returns both ends as connections.
func pair(t *testing.T) (a, b *Conn) {
	t.Helper()
	a, file, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	b, err = FromFile(file)
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// sendRaw sends bytes and descriptors without Send's checks.
func sendRaw(t *testing.T, c *Conn, packet string, fds ...int) {
	t.Helper()
	if err := c.send(background(t), []byte(packet), fds); err != nil {
		t.Fatal(err)
	}
}

// openDescriptors counts this process's descriptors.
func openDescriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// keepsDescriptors fails the test if it leaves more descriptors than it found.
func keepsDescriptors(t *testing.T) {
	t.Helper()
	runtime.GC() // closes files of earlier tests, in the background; one that is closed later only makes the bound wider
	before := openDescriptors(t)
	t.Cleanup(func() { // registered first, so it runs last
		eventually.Holds(t, "descriptors are closed", func() bool { return openDescriptors(t) <= before })
	})
}

func TestSendReceive(t *testing.T) {
	keepsDescriptors(t)
	a, b := pair(t)
	secret, err := SealedMemfd([]byte("token"))
	if err != nil {
		t.Fatal(err)
	}
	defer secret.Close()
	want := message{"pam-changed", "admin"}
	for range 3 {
		if err := a.Send(background(t), want, secret); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		var got message
		files, err := b.Receive(background(t), &got)
		if err != nil || got != want || len(files) != 1 {
			t.Fatalf("got %+v, %d files, %v", got, len(files), err)
		}
		token, err := ReadSecret(files[0], 512)
		if err != nil || string(token) != "token" {
			t.Errorf("secret is %q, %v", token, err)
		}
		flags, err := unix.FcntlInt(files[0].Fd(), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("received descriptor would leak into children: flags %x, %v", flags, err)
		}
		files[0].Close()
	}
	a.Close()
	if _, err := b.Receive(background(t), &message{}); err != io.EOF {
		t.Errorf("after close: %v, want io.EOF", err)
	}
}

func TestReceiveRefuses(t *testing.T) {
	tests := []struct {
		name, packet string
		fds          int
		want         error // nil: any
	}{
		{"not JSON", "\x00\xff", 1, nil},
		{"half a value", `{"op":"x`, 1, nil},
		{"trailing garbage", `{"op":"x"} {}`, 1, nil},
		{"wrong type", `{"op":7}`, 1, nil},
		{"deep", strings.Repeat("[", 60000), 1, nil},
		{"too large", `{"op":"` + strings.Repeat("x", MaxPacket) + `"}`, 1, ErrTooLarge},
		{"one descriptor too many", `{}`, 2, ErrTooManyFiles},
		{"as many as the kernel takes", `{}`, 253, ErrTooManyFiles},
		{"large and many", strings.Repeat(" ", MaxPacket+1), 5, ErrTooManyFiles},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			keepsDescriptors(t)
			a, b := pair(t)
			fds := make([]int, tt.fds) // descriptor 0, several times
			sendRaw(t, a, tt.packet, fds...)
			sendRaw(t, a, `{"op":"next"}`)
			before := openDescriptors(t)

			var got message
			files, err := b.Receive(background(t), &got)
			if err == nil || files != nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("got %d files, error %v, want %v", len(files), err, tt.want)
			}
			if now := openDescriptors(t); now != before {
				t.Errorf("%d descriptors leaked", now-before)
			}
			if _, err := b.Receive(background(t), &got); err != nil || got.Op != "next" {
				t.Errorf("the next packet: %+v, %v", got, err)
			}
		})
	}
}

func TestReceiveTolerates(t *testing.T) {
	a, b := pair(t)
	sendRaw(t, a, ` {"op":"x","later":{"more":[1]}} `)
	var got message
	if _, err := b.Receive(background(t), &got); err != nil || got.Op != "x" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestEmptyPacketIsTheEnd(t *testing.T) {
	keepsDescriptors(t)
	a, b := pair(t)
	sendRaw(t, a, "")
	if files, err := b.Receive(background(t), &message{}); err != io.EOF || files != nil {
		t.Errorf("got %v, %v", files, err)
	}
}

func TestNoFilesWanted(t *testing.T) {
	keepsDescriptors(t)
	a, b := pair(t)
	if err := b.SetLimits(MaxPacket, 0); err != nil {
		t.Fatal(err)
	}
	sendRaw(t, a, `{}`, 0)
	if _, err := b.Receive(background(t), &message{}); !errors.Is(err, ErrTooManyFiles) {
		t.Errorf("got %v", err)
	}
}

func TestSetLimits(t *testing.T) {
	a, b := pair(t)
	const large = 160 << 10
	batch := message{Op: strings.Repeat("x", large-100)}
	if err := a.Send(background(t), batch); !errors.Is(err, ErrTooLarge) {
		t.Errorf("before: %v", err)
	}
	for _, c := range []*Conn{a, b} {
		if err := c.SetLimits(large, MaxFiles); err != nil {
			t.Fatal(err)
		}
	}
	var got message
	if err := a.Send(background(t), batch); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Receive(background(t), &got); err != nil || got != batch {
		t.Errorf("got %d bytes, %v", len(got.Op), err)
	}
	if err := a.SetLimits(1<<30, 1); err == nil {
		t.Error("a limit that the kernel cannot hold was accepted")
	}
}

func TestWaitsEndWithTheContext(t *testing.T) {
	keepsDescriptors(t)
	a, b := pair(t)
	goroutines := runtime.NumGoroutine()

	short, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := b.Receive(short, &message{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("deadline: %v", err)
	}
	if took := time.Since(start); took < 30*time.Millisecond || took > 10*time.Second {
		t.Errorf("a deadline of 30 ms took %v", took)
	}

	cancelled, stop := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, stop)
	if _, err := b.Receive(cancelled, &message{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := b.Receive(cancelled, &message{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before: %v", err)
	}
	if err := fill(t, a); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("sending to a peer that never reads: %v", err)
	}

	var got message // the connection still works
	if _, err := b.Receive(background(t), &got); err != nil || got.Op != "fill" {
		t.Errorf("afterwards: %+v, %v", got, err)
	}
	eventually.Holds(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= goroutines })
}

// fill sends until the buffer is full and the deadline is over.
func fill(t *testing.T, c *Conn) error {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	for {
		if err := c.Send(ctx, message{Op: "fill"}); err != nil {
			return err
		}
	}
}

func TestReceiveDuringReceiveIsBounded(t *testing.T) {
	_, b := pair(t)
	first, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { _, err := b.Receive(first, &message{}); done <- err }()
	eventually.Holds(t, "the first waits", func() bool { return len(b.in.turn) == 1 })
	second, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := b.Receive(second, &message{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("second: %v", err)
	}
	stop()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("first: %v", err)
	}
}

func TestCloseWakes(t *testing.T) {
	a, _ := pair(t)
	done := make(chan error, 1)
	go func() { _, err := a.Receive(context.Background(), &message{}); done <- err }()
	eventually.Holds(t, "it waits", func() bool { return len(a.in.turn) == 1 })
	a.Close()
	select {
	case err := <-done:
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("got %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("Receive still waits")
	}
	if err := a.Send(background(t), message{}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("send on a closed connection: %v", err)
	}
}

func TestSendToClosedPeer(t *testing.T) {
	a, b := pair(t)
	b.Close()
	if err := a.Send(background(t), message{}); !errors.Is(err, unix.EPIPE) {
		t.Errorf("got %v, want EPIPE", err)
	}
}

func TestFromFileRefuses(t *testing.T) {
	regular, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer regular.Close()
	stream, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	other := os.NewFile(uintptr(stream[1]), "other")
	defer other.Close()
	wrong := os.NewFile(uintptr(stream[0]), "stream")
	defer wrong.Close()
	for _, f := range []*os.File{regular, wrong} {
		if c, err := FromFile(f); err == nil {
			c.Close()
			t.Errorf("%s was accepted", f.Name())
		}
	}
}
