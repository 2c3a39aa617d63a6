package totp

import (
	"bytes"
	"net/url"
	"strings"
	"testing"
)

func TestSetupKey(t *testing.T) {
	const want = "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ"
	if got := SetupKey(rfcSecret); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := SetupKey(rfcSecret[:16]); got != "GEZD GNBV GY3T QOJQ GEZD GNBV GY" {
		t.Errorf("of 128 bits: %s", got)
	}
}

func TestParseSetupKey(t *testing.T) {
	for _, tt := range []struct{ typed, wrong string }{
		{"GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ", ""},
		{"gezdgnbvgy3tqojqgezdgnbvgy3tqojq", ""},
		{" gezd-gnbv-gy3t-qojq-GEZD-GNBV-GY3T-QOJQ ", ""},
		{"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ======", ""},
		{"", "only 0 bits"},
		{"GEZDGNBVGY3TQOJQ", "only 80 bits, at least 128"},
		{"GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJ1", "character 32 "},
		{"GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJé", "character 32 "},
		{"GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJ\u017f", "character 32 "},
		{"GEZD=GNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "character 5 "},
		{"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJ\n", "character 32 "},
		{"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQA", "cannot have 33 characters"},
		{strings.Repeat("A", 112), "560 bits, more than 512"},
		{strings.Repeat("A", 1<<20), "too long"},
	} {
		secret, err := ParseSetupKey([]byte(tt.typed))
		switch {
		case tt.wrong == "" && (err != nil || !bytes.Equal(secret, rfcSecret)):
			t.Errorf("%q: %q, %v", tt.typed, secret, err)
		case tt.wrong != "" && (err == nil || !strings.Contains(err.Error(), tt.wrong)):
			t.Errorf("%.40q: %v, want %q", tt.typed, err, tt.wrong)
		case err != nil && strings.Contains(strings.ToUpper(err.Error()), "GEZD"):
			t.Errorf("the error shows the key: %v", err)
		}
	}
}

func TestSetupKeyIsParsedAgain(t *testing.T) {
	for size := leastSecret; size <= mostSecret; size++ {
		secret := bytes.Repeat([]byte{0xa5, byte(size)}, size)[:size]
		got, err := ParseSetupKey([]byte(SetupKey(secret)))
		if err != nil || !bytes.Equal(got, secret) {
			t.Errorf("%d bytes: %x, %v", size, got, err)
		}
	}
}

func TestAddress(t *testing.T) {
	const key = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
	for _, tt := range []struct{ issuer, account, label, shown string }{
		{"conductor", "admin", "conductor:admin", "conductor"},
		{"", "admin", "admin", ""},
		{"North & South=1", "user 2/3?#%", "North%20%26%20South%3D1:user%202%2F3%3F%23%25", "North & South=1"},
		{"a:b", "c:d", "a-b:c-d", "a-b"},
		{"Zürich+1", "müller", "Z%C3%BCrich%2B1:m%C3%BCller", "Zürich+1"},
	} {
		address := Address(tt.issuer, tt.account, rfcSecret)
		if want := "otpauth://totp/" + tt.label + "?secret=" + key; !strings.HasPrefix(address, want) {
			t.Errorf("%s, want %s…", address, want)
		}
		parsed, err := url.Parse(address)
		if err != nil {
			t.Errorf("%s: %v", address, err)
			continue
		}
		if query := parsed.Query(); query.Get("secret") != key || query.Get("issuer") != tt.shown || query.Has("issuer") != (tt.issuer != "") {
			t.Errorf("%s is read as %v", address, query)
		}
	}
}
