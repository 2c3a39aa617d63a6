package web

import (
	"encoding/json"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/shadowsync/web"
)

// FuzzParse: whatever a page sends, a request has no more than its limits allow, and who wants to sign in has an
// address and a name of one line.
func FuzzParse(f *testing.F) {
	for _, packet := range []string{
		`{}`, `null`, `[]`, `"x"`, `1e999`, `{"op":"who","token":"x"}`, `{"op":"lock","user":"\u001b]0;x\u0007"}`, `{"op":"sign-in","args":{"name":"a","address":"192.0.2.1"}}`,
		`{"op":"sign-in","args":{"name":"a\nb","address":"fe80::1%eth0"}}`, `{"op":"sign-in","args":{"name":"","address":"::ffff:192.0.2.1"}}`,
		`{"op":"users","user":"../../etc/passwd"}`, `{"op":"` + strings.Repeat("x", 100) + `"}`, `{"args":{"name":1}}`, strings.Repeat("[", 10_000),
	} {
		f.Add([]byte(packet))
	}
	f.Fuzz(func(t *testing.T, packed []byte) {
		q, err := parse(packed)
		if err != nil {
			return
		}
		if len(q.Op) > longestOp || len(q.Token) > longestToken || len(q.User) > longestName || strings.ContainsAny(q.User, "\x00\n\r\x1b:/") {
			t.Errorf("%+v", q)
		}
		who, err := arrival(q, []*os.File{nil})
		if err != nil {
			return
		}
		if address, err := netip.ParseAddr(who.Address); err != nil || address.Zone() != "" || address.Is4In6() || address.String() != who.Address {
			t.Errorf("the address %q, %v", who.Address, err)
		}
		if who.Name == "" || len(who.Name) > longestName || !plain(who.Name) {
			t.Errorf("the name %q", who.Name)
		}
	})
}

func TestArrivalNeedsOnePassword(t *testing.T) {
	args, err := json.Marshal(web.SignIn{Name: "a", Address: "192.0.2.1"})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		if _, err := arrival(web.Request{Args: args}, make([]*os.File, n)); (err == nil) != (n == 1) {
			t.Errorf("with %d passwords: %v", n, err)
		}
	}
}
