package scenes

import (
	"fmt"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/password/crypt"
	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// strait is a way to start a program with fewer resources than it expects.
type strait struct{ name, before, after string }

func straits() []strait {
	all := []strait{
		{"no standard output", "", ">&-"},
		{"no standard error", "", "2>&-"},
		{"neither", "", ">&- 2>&-"},
		{"a full device", "", ">/dev/full 2>&1"},
		{"no file size", "ulimit -f 0;", ""},
		{"no locked memory", "ulimit -l 0;", ""},
		{"a small stack", "ulimit -s 256;", ""},
		{"two seconds of time", "ulimit -t 2;", ""},
		{"SIGPIPE, SIGCHLD and SIGALRM ignored", "trap '' PIPE CHLD ALRM;", ""},
	}
	for n := 6; n <= 10; n++ { // with fewer, even PAM does not start
		all = append(all, strait{fmt.Sprintf("%d descriptors", n), fmt.Sprintf("ulimit -n %d;", n), ""})
	}
	return all
}

// programs change a password through PAM; input is what they read.
var programs = []struct {
	name, user, command string
	input               func(old, password string) string
}{
	{"passwd by root", "", "passwd admin", func(_, p string) string { return p + "\n" + p + "\n" }},
	{"passwd by the user", "admin", "passwd", func(old, p string) string { return old + "\n" + p + "\n" + p + "\n" }},
	{"chpasswd", "", "chpasswd", func(_, p string) string { return "admin:" + p + "\n" }},
}

// TestStraits: with the module a program does the same as without it, and the change arrives
// in the store.
func TestStraits(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{})
	others := s.bystanders("admin")
	alone := s.inStraits("alone")
	s.MustShell("sed -i.without '/pam_shadowsync/s/^#//' /etc/pam.d/common-password && grep -q '^password.*pam_shadowsync' /etc/pam.d/common-password")
	for name, with := range s.inStraits("with") {
		if with != alone[name] {
			t.Errorf("%s: %+v with the module, %+v without", name, with, alone[name])
		}
	}
	if s.bystanders("admin") != others {
		t.Error("other lines of the shadow file changed")
	}
}

// end is how a program ended, and whether it changed the password.
type end struct {
	code    int
	changed bool
}

// inStraits returns how each program ended; with the word "alone" the module is not in the stack.
func (s *stage) inStraits(word string) map[string]end {
	s.t.Helper()
	if word == "alone" {
		s.MustShell("sed -i '/pam_shadowsync/s/^/#/' /etc/pam.d/common-password")
	}
	s.Input("admin:Start-velvet-0\n").Must("chpasswd")
	ends, old, count := map[string]end{}, "Start-velvet-0", 0
	for _, strait := range straits() {
		for i, program := range programs {
			password := fmt.Sprintf("%s-strait-%d-%d", word, count, i)
			count++
			began := time.Now()
			call := s.Input(program.input(old, password))
			if program.user != "" {
				call = call.As(program.user)
			}
			r := call.Shell(strait.before + program.command + " " + strait.after)
			if took := time.Since(began); took > 5*time.Second+slack {
				s.t.Errorf("%s with %s took %v", program.name, strait.name, took)
			}
			ok, err := crypt.Verify(s.ShadowHash("admin"), []byte(password))
			ends[program.name+", "+strait.name] = end{r.Code, ok && err == nil}
			if !ok {
				continue
			}
			old = password
			if word == "with" {
				s.eventually("the store holds it too: "+program.name+" with "+strait.name, machine.Patience, func() bool { return s.bothOpen("admin", password) })
			}
		}
	}
	return ends
}
