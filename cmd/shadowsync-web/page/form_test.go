package page

import (
	"bytes"
	"net/url"
	"testing"
)

func TestParseForm(t *testing.T) {
	f, err := parseForm([]byte("a=x+y%26&b=&&c&%64=%C3%A4"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"a": "x y&", "b": "", "c": "", "d": "ä"} {
		if got := f.get(name); got == nil || string(got) != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if f.get("e") != nil {
		t.Error("e is there")
	}
	f.wipe()
	if !bytes.Equal(f.body, make([]byte, len(f.body))) || string(f.get("a")) == "x y&" {
		t.Errorf("after wiping: %q", f.body)
	}
}

// FuzzParseForm compares with net/url, which takes a semicolon for an error and the same name twice.
func FuzzParseForm(f *testing.F) {
	for _, seed := range []string{"", "a=b&c=d", "a=%41+%zz", "=&=", "%", "a=%4", "a&a", "a=b=c", "ü=%C3"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		want, err := url.ParseQuery(string(bytes.ReplaceAll(body, []byte(";"), []byte("%3B"))))
		got, gotErr := parseForm(bytes.Clone(body))
		if gotErr != nil {
			fields := 0
			twice := false
			for _, values := range want {
				fields += len(values)
				twice = twice || len(values) > 1
			}
			if err == nil && !twice && fields <= maxFields {
				t.Errorf("%q is refused", body)
			}
			return
		}
		if err != nil {
			t.Errorf("%q is taken, although %v", body, err)
		}
		if len(want) != len(got.fields) {
			t.Errorf("%q: %d fields, want %d", body, len(got.fields), len(want))
		}
		for name, values := range want {
			if value := got.get(name); value == nil || string(value) != values[0] {
				t.Errorf("%q: %q is %q, want %q", body, name, value, values[0])
			}
		}
	})
}
