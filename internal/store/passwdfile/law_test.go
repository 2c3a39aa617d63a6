package passwdfile

import (
	"slices"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/store/textfile"
)

// FuzzPasswordFile checks the laws of an edit on any text, in every format: it is refused, or the new text reads
// the wanted value, and every other wanted account reads as before. All other bytes stay because only
// the value's place is replaced.
func FuzzPasswordFile(f *testing.F) {
	for _, text := range []string{
		"# users\r\n\r\nbob:$6$salt$hash\r\neve:!$y$x$y$z:comment:more\r\n# end",
		"bob:{CRYPT}$6$a$b:1000:1000::/home/bob::userdb_mail=maildir:~/Mail\neve:{PLAIN}secret\n:\nx\n",
		"bob:$7$101$c2FsdA==$aGFzaA==\neve : $6$c2FsdA==$aGFzaA== \n#x\nno colon\n",
		"; users\n\"bob\" \"SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy\"\n\"e\"\"ve\" \"md500112233445566778899aabbccddeeff\" x\n",
		"DEFAULT Auth-Type := Reject\n\tFall-Through = Yes,\n\n\t# x\n\tReply-Message = \"a, \\\"b\\\" # c\"\nbob Crypt-Password := \"$6$a$b\", NAS-IP-Address == 127.0.0.1 # x\neve NT-Password := 00112233445566778899AABBCCDDEEFF\n$INCLUDE other\n",
		"bob:x\nbob:y\n", "\ufeffbob:x\n", "bob\neve:x", "x\\\nbob:y\n", " bob:x\n",
	} {
		for _, value := range []string{"$6$salt$new", "!", "*", "$7$1000$c2FsdA==$bmV3", "SCRAM-SHA-256$4096:c2FsdA==$bmV3:bmV3", "{SSHA}bmV3", "0123456789ABCDEF0123456789ABCDEF", "a:b", "a\nb", "a\"b", "(clear text)"} {
			f.Add([]byte(text), value)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, want string) {
		for name, format := range formats {
			for _, scheme := range format.schemes {
				checkLaw(t, name, format.text(scheme), data, want)
			}
		}
	})
}

func checkLaw(t *testing.T, name string, f textfile.Format, data []byte, want string) {
	t.Helper()
	wanted := map[string]bool{"bob": true, "eve": true}
	before, err := f.Locate(data, wanted)
	if err != nil {
		return
	}
	for who, r := range before {
		if r.Fault != nil {
			continue
		}
		if strings.Contains(r.Value, "{PLAIN}") || strings.Contains(r.Value, "secret") && name == "pgbouncer" {
			t.Fatalf("%s: clear text is read from %q", name, data)
		}
		text, err := f.Spell(r, want)
		if err != nil {
			continue
		}
		edited := slices.Concat(data[:r.At.Start], []byte(r.Lead+text), data[r.At.End:])
		after, err := f.Locate(edited, wanted)
		if err != nil || after[who].Fault != nil || after[who].Value != want {
			t.Fatalf("%s: %q gives %q, which reads %+v: %v", name, data, edited, after[who], err)
		}
		if c, ok := f.(textfile.Checker); ok && c.Check(data) == nil && c.Check(edited) != nil {
			t.Fatalf("%s: %q gives %q, which its server does not accept: %v", name, data, edited, c.Check(edited))
		}
		for other, o := range before {
			if other != who && (after[other].Value != o.Value || (after[other].Fault == nil) != (o.Fault == nil)) {
				t.Fatalf("%s: %q gives %q: %s was %+v and is %+v", name, data, edited, other, o, after[other])
			}
		}
	}
}
