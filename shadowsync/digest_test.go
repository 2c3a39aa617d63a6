package shadowsync

import (
	"reflect"
	"testing"
)

// TestDigestsStay: every later version must recognise the recorded digests.
func TestDigestsStay(t *testing.T) {
	full := Credential{Hash: "$6$s$h", Locked: true, LastChange: 20000, Min: 1, Max: 90, Warn: 7, Inactive: 14, Expire: 20500}
	must := NoAgeing()
	must.Hash, must.MustChange = "$y$j9T$s$h", true
	for _, c := range []struct {
		got, want string
	}{
		{digest("password", full.Password()), "4369615bce03fc03"},
		{digest("password", must.Password()), "294d338cee9d9389"},
		{storeDigest(full, AllFields), "7e8c05d492a2c5eb"},
		{storeDigest(full, FieldHash|FieldLocked), "06c17a18fda69a9c"},
		{storeDigest(must, AllFields), "a43ed10a978713f5"},
	} {
		if c.got != c.want {
			t.Errorf("digest %s, want %s", c.got, c.want)
		}
	}
}

// TestDigestsTellEveryFieldApart: a new field in Credential needs a second encoding that includes
// it, and a past that recognises values by both encodings.
func TestDigestsTellEveryFieldApart(t *testing.T) {
	zero := storeDigest(Credential{}, AllFields)
	for i := range reflect.TypeFor[Credential]().NumField() {
		var c Credential
		switch field := reflect.ValueOf(&c).Elem().Field(i); field.Kind() {
		case reflect.String:
			field.SetString("x")
		case reflect.Bool:
			field.SetBool(true)
		default:
			field.SetInt(1)
		}
		if storeDigest(c, AllFields) == zero {
			t.Errorf("the digest leaves out %s", reflect.TypeFor[Credential]().Field(i).Name)
		}
	}
}

// TestTwoMarksOnRecord: values that were recorded when only the first lock mark counted.
func TestTwoMarksOnRecord(t *testing.T) {
	before, now := field("!$6$s$h"), field("!!$6$s$h")
	before.Hash = "!" + before.Hash
	for _, fields := range []Fields{FieldHash | FieldLocked, AllFields} {
		past := remembers(Baseline{OS: before, Store: before}, fields)
		if !past.holdsPassword(now) || !past.holdsStore(now, fields) {
			t.Error("two marks on record are not known again")
		}
	}
}
