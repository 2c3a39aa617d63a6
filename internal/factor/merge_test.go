package factor

import (
	"bytes"
	"testing"
	"time"
)

// sealedRecord is an enrolled record whose secret is sealed under a key.
func sealedRecord(t *testing.T, account string, generation int64, key []byte, secret string) Record {
	t.Helper()
	r := Record{Subject: Subject{Local, account}, State: Enrolled, Generation: generation}
	var err error
	if r.Secret, err = r.sealWith(key, []byte(secret)); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestMergeUnderTwoKeys: whatever one of the keys opens can be opened with the kept one afterwards, and
// the higher generation holds.
func TestMergeUnderTwoKeys(t *testing.T) {
	here, there, lost := bytes.Repeat([]byte{1}, KeySize), bytes.Repeat([]byte{2}, KeySize), bytes.Repeat([]byte{3}, KeySize)
	sealed := func(generation int64, key []byte, secret string) *Record {
		r := sealedRecord(t, "admin", generation, key, secret)
		return &r
	}
	for name, tt := range map[string]struct {
		keys         Keys
		live, backup *Record
		secret       string // empty: none opens
		from         Source
	}{
		"only live":                       {Keys{here, there}, sealed(1, here, "l"), nil, "l", FromLive},
		"only in the backup":              {Keys{here, there}, nil, sealed(1, there, "b"), "b", FromBackup},
		"live is newer":                   {Keys{here, there}, sealed(3, here, "l"), sealed(2, there, "b"), "l", FromLive},
		"the backup is newer":             {Keys{here, there}, sealed(2, here, "l"), sealed(3, there, "b"), "b", FromBackup},
		"of one generation":               {Keys{here, there}, sealed(2, here, "l"), sealed(2, there, "b"), "l", FromBoth},
		"live was sealed with a lost one": {Keys{here, there}, sealed(2, lost, "l"), sealed(2, there, "b"), "b", FromBoth},
		"a newer one with a lost one":     {Keys{here, there}, sealed(3, lost, "l"), sealed(2, there, "b"), "", FromLive},
		"live with the backup's key":      {Keys{here, there}, sealed(3, there, "l"), sealed(2, there, "b"), "l", FromLive},
		"the key was lost":                {Keys{there, there}, sealed(3, there, "l"), sealed(2, there, "b"), "l", FromLive},
		"the backup has no key":           {Keys{here, nil}, sealed(2, here, "l"), sealed(1, here, "b"), "l", FromLive},
		"no key at all":                   {Keys{}, sealed(2, here, "l"), nil, "", FromLive},
	} {
		t.Run(name, func(t *testing.T) {
			var live, backup []Record
			if tt.live != nil {
				live = []Record{*tt.live}
			}
			if tt.backup != nil {
				backup = []Record{*tt.backup}
			}
			all, err := tt.keys.Merge(live, backup)
			if err != nil || len(all) != 1 || all[0].From != tt.from || all[0].Opened != (tt.secret != "") {
				t.Fatalf("%+v, %v", all, err)
			}
			if secret, err := all[0].openWith(tt.keys.Kept); string(secret) != tt.secret || (err == nil) != (tt.secret != "") {
				t.Errorf("the kept key opens %q, %v", secret, err)
			}
		})
	}
}

// TestMergeUnderTwoKeysKeepsWhatWasUsed: also where the backup's secret holds.
func TestMergeUnderTwoKeysKeepsWhatWasUsed(t *testing.T) {
	here, lost := bytes.Repeat([]byte{1}, KeySize), bytes.Repeat([]byte{3}, KeySize)
	live, backup := sealedRecord(t, "admin", 2, lost, "s"), sealedRecord(t, "admin", 2, here, "s")
	code := []byte("code")
	live.Step, live.Recovery = 20, []RecoveryCode{{Hash: code, Used: time.Unix(9, 0)}}
	backup.Step, backup.Recovery = 10, []RecoveryCode{{Hash: code}}
	other := Record{Subject: Subject{LDAP, "admin"}, State: None, Generation: 1}
	all, err := Keys{Kept: here}.Merge([]Record{live}, []Record{other, backup})
	if err != nil || len(all) != 2 || all[0].Realm != LDAP || !all[0].Opened {
		t.Fatalf("%+v, %v", all, err)
	}
	if m := all[1]; m.Step != 20 || m.RecoveryLeft() != 0 || !m.Opened {
		t.Errorf("%+v", m)
	}
}
