package bulk

import (
	"fmt"
	"strings"
	"testing"
)

// TestParseList: byte order marks and CRs that other systems' editors add are not part of a password
// or a name.
func TestParseList(t *testing.T) {
	list := ParseList([]byte("\ufeffone:a:b\r\n\r\ntwo: c\r\r\nthree\r\nfour:d"), true)
	var got []string
	for _, l := range list {
		got = append(got, fmt.Sprintf("%d %s %q %v", l.Line, l.Name, l.Token, l.Fault != nil))
	}
	if want := `1 one "a:b" false,3 two " c\r" false,4  "" true,5 four "d" false`; strings.Join(got, ",") != want {
		t.Errorf("%q, want %q", got, want)
	}
	if names := ParseList([]byte("\ufeffone\r\n\r\ntwo\r\n"), false); len(names) != 2 || names[0].Name != "one" || names[1].Name != "two" {
		t.Errorf("names: %+v", names)
	}
}
