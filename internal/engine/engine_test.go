package engine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/store/storeworker"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// TestMain lets this program also be its own store worker.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == storeworker.Command.Name {
		if err := storeworker.Command.Main(context.Background(), os.Stdin); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

const (
	oldHash = "$6$abcdefgh$VdlqHNmVsAzQyLuyPYLSFGzJrkpcj0MyW4Pd9bGsYTTJdNt0kkJeHTfv3lLUPCC5YJnNuqCYjAPTJTkSaBNH5."
	newHash = "$6$ijklmnop$VdlqHNmVsAzQyLuyPYLSFGzJrkpcj0MyW4Pd9bGsYTTJdNt0kkJeHTfv3lLUPCC5YJnNuqCYjAPTJTkSaBNH5."
)

// system is a mounted system in a folder.
type system struct {
	root   string
	engine *Engine
}

func (s system) path(name string) string { return filepath.Join(s.root, name) }

type off struct{ NoGuard }

func (off) End(context.Context, shadowsync.Account, shadowsync.Logout) (ended, left []shadowsync.Session, err error) {
	return nil, nil, nil
}

// mount makes a system with n accounts, admin first, and a JSON store that holds them.
func mount(tb testing.TB, n int) system {
	tb.Helper()
	if os.Getuid() != 0 {
		tb.Skip("needs root: the files of a system belong to root")
	}
	s := system{root: tb.TempDir()}
	accounts := []string{"admin"}
	for i := range n - 1 {
		accounts = append(accounts, fmt.Sprintf("user%d", i))
	}
	var passwd, shadow strings.Builder
	passwd.WriteString("root:x:0:0::/root:/bin/sh\n")
	shadow.WriteString("root:*:20000:0:99999:7:::\n")
	var users []string
	for i, name := range accounts {
		fmt.Fprintf(&passwd, "%s:x:%d:%d::/home/%s:/bin/sh\n", name, 1000+i, 1000+i, name)
		fmt.Fprintf(&shadow, "%s:%s:20000:0:99999:7:::\n", name, oldHash)
		users = append(users, fmt.Sprintf("{%q: %q, %q: %q}", "name", name, "password", oldHash))
	}
	write(tb, s.path("etc/passwd"), passwd.String(), 0o644)
	write(tb, s.path("etc/group"), "root:x:0:\n", 0o644)
	write(tb, s.path("etc/shadow"), shadow.String(), 0o640)
	write(tb, s.path("var/lib/app/users.json"), "{\"users\": [\n"+strings.Join(users, ",\n")+"]}\n", 0o600)
	text := fmt.Sprintf("[[application]]\nname = \"app\"\nunit = \"app.service\"\naccounts = [%q]\n[application.store]\ndriver = \"json\"\npath = \"/var/lib/app/users.json\"\nusers = \"/users\"\nname = \"name\"\npassword = \"password\"\n",
		strings.Join(accounts, `", "`))
	c, err := config.Parse([]byte(strings.ReplaceAll(text, `\"`, `"`)))
	if err != nil {
		tb.Fatal(err)
	}
	s.engine, err = Open(tb.Context(), Options{Root: s.root, Config: c, Program: "test", StoreTimeout: 5 * time.Second, Guard: off{}, Sessions: off{}})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.engine.Close() })
	if _, err := s.engine.Reconcile(tb.Context(), "app", shadowsync.Request{First: shadowsync.OSSide}); err != nil {
		tb.Fatal(err)
	}
	return s
}

func write(tb testing.TB, path, text string, mode os.FileMode) {
	tb.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		tb.Fatal(err)
	}
}

func (s system) text(tb testing.TB, name string) string {
	tb.Helper()
	data, err := os.ReadFile(s.path(name))
	if err != nil {
		tb.Fatal(err)
	}
	return string(data)
}

// usermod replaces a hash in the shadow file as usermod -p does, by rename.
func (s system) usermod(tb testing.TB, from, to string) {
	tb.Helper()
	text := strings.Replace(s.text(tb, "etc/shadow"), "admin:"+from, "admin:"+to, 1)
	write(tb, s.path("etc/shadow+"), text, 0o640)
	if err := os.Rename(s.path("etc/shadow+"), s.path("etc/shadow")); err != nil {
		tb.Fatal(err)
	}
}

func (s system) reconcile(tb testing.TB) shadowsync.Report {
	tb.Helper()
	report, err := s.engine.Reconcile(tb.Context(), "app", shadowsync.Request{Origin: shadowsync.Origin{SeenBy: shadowsync.SeenByStart}})
	if err != nil {
		tb.Fatal(err)
	}
	return report
}

func TestAdoptIntoAJSONStore(t *testing.T) {
	s := mount(t, 3)
	s.usermod(t, oldHash, newHash)
	if o, _ := s.reconcile(t).For("admin"); o.State != shadowsync.InSync || o.Verdict != shadowsync.VerdictAdopt {
		t.Errorf("got %+v", o)
	}
	if want := fmt.Sprintf("{%q: %q, %q: %q}", "name", "admin", "password", newHash); !strings.Contains(s.text(t, "var/lib/app/users.json"), want) {
		t.Errorf("the store holds %s", s.text(t, "var/lib/app/users.json"))
	}
	s.reconcile(t)
	if !s.reconcile(t).Unchanged {
		t.Error("not settled")
	}
}

func TestAStoreThatIsGoneIsPendingAndDrains(t *testing.T) {
	s := mount(t, 2)
	if err := os.Rename(s.path("var/lib/app"), s.path("var/lib/gone")); err != nil {
		t.Fatal(err)
	}
	s.usermod(t, oldHash, newHash)
	if o, _ := s.reconcile(t).For("admin"); o.State != shadowsync.Pending || o.Reason != "store: no such file or directory" {
		t.Errorf("got %+v", o)
	}
	if err := os.Rename(s.path("var/lib/gone"), s.path("var/lib/app")); err != nil {
		t.Fatal(err)
	}
	if o, _ := s.reconcile(t).For("admin"); o.State != shadowsync.InSync {
		t.Errorf("got %+v", o)
	}
	if !strings.Contains(s.text(t, "var/lib/app/users.json"), newHash) {
		t.Error("the store does not hold the new hash")
	}
}

// TestAnotherConfigurationsWitnesses: the broker's Witness, Vouched and Pace survive a new list of
// accounts.
func TestAnotherConfigurationsWitnesses(t *testing.T) {
	s := mount(t, 1)
	name := s.engine.Config.Applications[0].Name
	r := s.engine.Reconciler(name)
	r.Witness = func() (shadowsync.Origin, shadowsync.Writer) { return shadowsync.Origin{}, shadowsync.WriterOther }
	r.Vouched = func(account string) bool { return account == "admin" }
	next := s.engine.With(s.engine.Config).Reconciler(name)
	if _, writer := next.Witness(); writer != shadowsync.WriterOther || !next.Vouched("admin") || next.Vouched("other") {
		t.Error("they are not asked any longer")
	}
}

func TestRollbackOfTheImage(t *testing.T) {
	s := mount(t, 2)
	old := s.text(t, "etc/shadow")
	s.usermod(t, oldHash, newHash)
	write(t, s.path("etc/shadow"), strings.Replace(s.text(t, "etc/shadow"), "root:*", "root:!*", 1), 0o640)
	s.reconcile(t)
	write(t, s.path("etc/shadow"), old, 0o640)
	back, err := s.engine.wentBack(t.Context(), "app")
	if err != nil || !back {
		t.Fatalf("the older surroundings are not recognised: %v, %v", back, err)
	}
	report, err := s.engine.Reconcile(t.Context(), "app", shadowsync.Request{Evidence: shadowsync.Evidence{AtBoot: true, WentBack: back}})
	if err != nil {
		t.Fatal(err)
	}
	if o, _ := report.For("admin"); o.Verdict != shadowsync.VerdictRollback || !strings.Contains(s.text(t, "etc/shadow"), "admin:"+newHash) {
		t.Errorf("got %+v", o)
	}
}

// TestWentBack: what the surroundings must have done to count as a rollback. The accounts of the states
// are root, clerk, the service svc (uid 990) and the person peer (uid 2000).
func TestWentBack(t *testing.T) {
	const root, clerk1, clerk2 = "root:*:1::::::\n", "clerk:$6$1:1::::::\n", "clerk:$6$2:2::::::\n"
	const svc = "svc:!*:3::::::\n"
	for _, c := range []struct {
		name  string
		noted []string // the states that were seen, the last one last
		now   string
		want  bool
	}{
		{"an older state", []string{root + clerk1, root + clerk2}, root + clerk1, true},
		{"and this boot made an account", []string{root + clerk1, root + clerk2}, root + clerk1 + svc, true},
		{"and it made one that the newer state had too", []string{root + clerk1, root + clerk2 + "svc:!*:2::::::\n"}, root + clerk1 + svc, true},
		{"a state never seen", []string{root + clerk1, root + clerk2}, root + "clerk:$6$3:3::::::\n" + svc, false},
		{"the last state", []string{root + clerk1, root + clerk2}, root + clerk2, false},
		{"this boot made an account, nothing else", []string{root + clerk1, root + clerk2}, root + clerk2 + svc, false},
		{"it is there again as it was, nothing else", []string{root + clerk1 + svc, root + clerk1}, root + clerk1 + svc, false},
		{"an older state, which differs by a service alone", []string{root + clerk1, root + clerk1 + svc}, root + clerk1, true},
		{"a service's line changed, nothing else", []string{root + clerk1, root + clerk1 + "svc:!*:2::::::\n"}, root + clerk1 + svc, false},
		{"an older state with a new password", []string{root + clerk1, root + clerk2}, root + clerk1 + "svc:$6$s:3::::::\n", false},
		{"an older state with a new person", []string{root + clerk1, root + clerk2}, root + clerk1 + "peer:!:3::::::\n", false},
		{"the newer state's person lost the password", []string{root + clerk1, root + clerk1 + "peer:$6$p:2::::::\n"}, root + clerk1 + "peer:!:3::::::\n", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := mount(t, 1)
			write(t, s.path("etc/passwd"), s.text(t, "etc/passwd")+"clerk:x:1500:1500::/:/bin/sh\nsvc:x:990:990::/:/bin/sh\npeer:x:2000:2000::/:/bin/sh\n", 0o644)
			for _, state := range c.noted {
				write(t, s.path("etc/shadow"), state, 0o640)
				if err := s.engine.noteSurroundings(t.Context(), "app"); err != nil {
					t.Fatal(err)
				}
			}
			write(t, s.path("etc/shadow"), c.now, 0o640)
			if back, err := s.engine.wentBack(t.Context(), "app"); err != nil || back != c.want {
				t.Errorf("went back: %v, %v", back, err)
			}
		})
	}
}

func BenchmarkAdopt(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := mount(b, n)
			from, to := oldHash, newHash
			for b.Loop() {
				b.StopTimer()
				s.usermod(b, from, to)
				from, to = to, from
				b.StartTimer()
				s.reconcile(b)
			}
		})
	}
}

func BenchmarkNothingChanged(b *testing.B) {
	for _, n := range []int{10, 10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := mount(b, n)
			s.reconcile(b)
			for b.Loop() {
				if !s.reconcile(b).Unchanged {
					b.Fatal("changed")
				}
			}
		})
	}
}
