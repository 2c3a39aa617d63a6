package shadowfile

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// oracle is a running testdata/fgetspent.c.
type oracle struct {
	in  io.WriteCloser
	out *bufio.Reader
}

// startOracle compiles and starts the helper; without a C compiler the test is skipped.
func startOracle(t testing.TB) *oracle {
	t.Helper()
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("no C compiler")
	}
	dir, err := os.MkdirTemp("", "fgetspent")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	program := filepath.Join(dir, "fgetspent")
	if out, err := exec.Command(cc, "-Wall", "-Werror", "-o", program, "testdata/fgetspent.c").CombinedOutput(); err != nil {
		t.Fatalf("cannot compile the oracle: %v\n%s", err, out)
	}
	cmd := exec.Command(program)
	cmd.Env = []string{"LC_ALL=C"}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); cmd.Wait() })
	return &oracle{in, bufio.NewReader(out)}
}

// accepted is an entry without the positions in its line.
type accepted struct {
	name, password string
	days           [dayFields]shadowsync.Day
}

// ask returns the entries of a document that glibc accepts.
func (o *oracle) ask(t testing.TB, document string) []accepted {
	t.Helper()
	message := binary.NativeEndian.AppendUint64(nil, uint64(len(document)))
	if _, err := o.in.Write(append(message, document...)); err != nil {
		t.Fatal(err)
	}
	var all []accepted
	for o.number(t) == 1 {
		e := accepted{name: o.text(t), password: o.text(t)}
		for i := range e.days {
			e.days[i] = shadowsync.Day(o.number(t))
		}
		all = append(all, e)
	}
	return all
}

func (o *oracle) number(t testing.TB) int64 {
	t.Helper()
	var b [8]byte
	if _, err := io.ReadFull(o.out, b[:]); err != nil {
		t.Fatalf("the oracle stopped: %v", err)
	}
	return int64(binary.NativeEndian.Uint64(b[:]))
}

func (o *oracle) text(t testing.TB) string {
	t.Helper()
	b := make([]byte, max(0, o.number(t)))
	if _, err := io.ReadFull(o.out, b); err != nil {
		t.Fatalf("the oracle stopped: %v", err)
	}
	return string(b)
}

// ours returns the entries that this package accepts, including NIS lines. For NIS lines without a
// field glibc returns other values than NoDay, but nobody reads them.
func ours(document string) []accepted {
	var all []accepted
	for raw := range strings.Lines(document) {
		if e, ok := parseEntry(readLine(raw)); ok {
			all = append(all, accepted{e.name, e.password, e.days})
		}
	}
	return all
}

func compare(t testing.TB, o *oracle, document string) {
	t.Helper()
	want, got := o.ask(t, document), ours(document)
	for i := range want {
		if want[i].password == "" && !isAccountName(want[i].name) && i < len(got) {
			want[i].days = got[i].days
		}
	}
	for i := range max(len(want), len(got)) {
		if i >= len(want) || i >= len(got) || want[i] != got[i] {
			t.Fatalf("document %.200q\nglibc %.200q\nours  %.200q", document, fmt.Sprint(want[min(i, len(want)):]), fmt.Sprint(got[min(i, len(got)):]))
		}
	}
}

// awkward are lines that look like entries, and entries that do not look like lines.
var awkward = []string{
	"", "\n", "root:*:19000:0:99999:7:::\n", "root:*:19000:0:99999:7:::", "bob:!$y$j9T$salt$hash:0:0:99999:7:14:20000:\n",
	"old:x:1:2:3\n", "old:x:1:2:3:\n", "old:x:1:2:3   \n", "old:x:1:2:3:   \n", "old:x:1:2:3:\r\n", "old:x:::\n",
	"flag:x:1:2:3:4:5:6:4294967296\n", "flag:x:1:2:3:4:5:6:-1\n", "flag:x:1:2:3:4:5:6:x\n", "short:x:1:2\n", "short:x:1:2:\n", "short:x\n", "short\n", "short:\n", ":x:1:2:3:4:5:6:\n", "warn:x:1:2:3:4\n",
	"six:x:1:2:3:4:5:6\n", "six:x:1:2:3:4:5:6:7\n", "six:x:1:2:3:4:5:6:7:\n", "six:x:1:2:3:4:5:6: 7\n", "six:x:1:2:3:4:5:6: \n",
	"crlf:x:1:2:3:4:5:6:\r\n", "# comment:x:1:2:3:4:5:6:\n", "  indented:x:1:2:3:4:5:6:\n", "\v\f\tindented:x:1:2:3\n",
	"sign:x:+1:-0:-1:-5: +7:-18446744073709551615:\n", "big:x:2147483647:2147483648:4294967294:4294967295:4294967296:18446744073709551616:\n",
	"big:x:99999999999999999999999:-99999999999999999999:000000000000000000000000007:4:5:6:\n",
	"space:x: :2:3:4:5:6:\n", "space:x:1 :2:3:4:5:6:\n", "letters:x:a:2:3:4:5:6:\n", "sign:x:+:-:3:4:5:6:\n",
	"+\n", "-\n", "+::::::::\n", "+nis\n", "-nis:\n", "+nis:x:1:2:3:4:5:6:\n", "+@group::::::::\n",
	"dup:a:1:2:3:4:5:6:\ndup:b:1:2:3:4:5:6:\n", "bad line\ngood:x:1:2:3:4:5:6:\n", "nul:x\x00:1:2:3:4:5:6:\n", "nul:x:1:2:3\x00:4:5:6:\n",
	"  nul:x:1:2:3\x00\n", "  last:x:1:2:3", "   a:b:1:2:3", "\x00\n", " \x00a:b:1:2:3:4:5:6:\n", "latin\xe9:x\xff:1:2:3:4:5:6:\n",
	strings.Repeat("long", 1000) + ":" + strings.Repeat("x", 5000) + ":1:2:3:4:5:6:\n",
}

func TestGlibcAcceptsTheSame(t *testing.T) {
	o := startOracle(t)
	for _, document := range awkward {
		compare(t, o, document)
	}
	compare(t, o, strings.Join(awkward, "\n"))
}

func FuzzGlibc(f *testing.F) {
	for _, document := range awkward {
		f.Add([]byte(document))
	}
	o := startOracle(f)
	f.Fuzz(func(t *testing.T, document []byte) { compare(t, o, string(document)) })
}
