package module

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/wire/socket"
)

// TestForms: the bytes that modules of this version and of those before it read.
func TestForms(t *testing.T) {
	for name, tc := range map[string]struct {
		answer      Answer
		plain, json string
	}{
		"nothing to say": {Answer{Says, ""}, "s", `{"message":""}`},
		"said":           {Answer{Says, "shadowsync: ä"}, "sshadowsync: ä", `{"message":"shadowsync: ä"}`},
		"refused":        {Answer{Refuses, "BAD PASSWORD: no"}, "rBAD PASSWORD: no", `{"message":"BAD PASSWORD: no"}`},
		"a note":         {Answer{Notes, ""}, "n", `{"message":"note"}`},
		"with a text":    {Answer{Notes, "shadowsync: x"}, "nshadowsync: x", `{"message":"note shadowsync: x"}`},
		"long":           {Answer{Says, strings.Repeat("x", 2*MaxText)}, "s" + strings.Repeat("x", MaxText), `{"message":"` + strings.Repeat("x", 2*MaxText) + `"}`},
	} {
		for _, plain := range []bool{true, false} {
			conn, theirs, err := socket.Pair()
			if err != nil {
				t.Fatal(err)
			}
			if err := tc.answer.Send(t.Context(), conn, Request{Plain: plain}); err != nil {
				t.Fatal(err)
			}
			packet := make([]byte, 3*MaxText)
			n, err := unix.Read(int(theirs.Fd()), packet)
			if err != nil {
				t.Fatal(err)
			}
			want := tc.json
			if plain {
				want = tc.plain
			}
			if !bytes.Equal(packet[:n], []byte(want)) {
				t.Errorf("%s: %q, want %q", name, packet[:n], want)
			}
			conn.Close()
			theirs.Close()
		}
	}
}
