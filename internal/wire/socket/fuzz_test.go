package socket

import "testing"

func FuzzReceive(f *testing.F) {
	f.Add([]byte(`{"op":"x"}`), 1)
	f.Add([]byte{0}, 3)
	f.Fuzz(func(t *testing.T, packet []byte, fds int) {
		a, b := pair(t)
		fds = min(max(fds, 0), 253)
		if len(packet) == 0 || len(packet) > 2*MaxPacket {
			return
		}
		sendRaw(t, a, string(packet), make([]int, fds)...)
		before := openDescriptors(t)
		var got message
		files, err := b.Receive(background(t), &got)
		if kept := openDescriptors(t) - before; kept != len(files) || err != nil && kept != 0 {
			t.Errorf("%d descriptors kept, %d files, error %v", kept, len(files), err)
		}
		CloseAll(files)
	})
}

func BenchmarkRoundTrip(b *testing.B) {
	ours, file, err := Pair()
	if err != nil {
		b.Fatal(err)
	}
	theirs, err := FromFile(file)
	if err != nil {
		b.Fatal(err)
	}
	defer ours.Close()
	go func() {
		for {
			var m message
			if _, err := theirs.Receive(b.Context(), &m); err != nil {
				return
			}
			_ = theirs.Send(b.Context(), m)
		}
	}()
	for b.Loop() {
		m := message{"pam-changed", "admin"}
		if err := ours.Send(b.Context(), m); err != nil {
			b.Fatal(err)
		}
		if _, err := ours.Receive(b.Context(), &m); err != nil {
			b.Fatal(err)
		}
	}
}
