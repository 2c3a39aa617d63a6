package setup

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/password/pamstack"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/systemd"
)

// newRoot makes a root directory with this configuration, or without one if it is empty.
func newRoot(t *testing.T, configuration string) string {
	t.Helper()
	root := t.TempDir()
	writeFile(t, filepath.Join(root, "etc/hostname"), "node1.example.org\n")
	if configuration != "" {
		writeFile(t, filepath.Join(root, config.DefaultPath), configuration)
	}
	if err := os.MkdirAll(filepath.Join(root, "var/lib"), 0o755); err != nil {
		t.Fatal(err)
	}
	return root
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func embedded() map[string]any { return map[string]any{"driver": "sqlite"} }

const inPlace = `[[application]]
unit = "128T.service"
accounts = ["admin", "user222"]
[application.store]
driver = "sqlite"
`

func TestNewConfigurationSaysWhatTheFlagsSay(t *testing.T) {
	t.Parallel()
	j := newJob(Options{
		Root: newRoot(t, ""), Unit: "128T", Accounts: []string{"user222", "admin", "admin"},
		Store: map[string]any{"driver": "json", "path": `/var/lib/a "b"/c.json`, "users": "/u", "name": "n", "password": "p"},
	})
	if err := j.configure(); err != nil {
		t.Fatal(err)
	}
	a := j.config.Applications[0]
	if a.Unit != "128T.service" || a.Name != "128T" || strings.Join(a.Accounts, " ") != "admin user222" ||
		a.Store["path"] != `/var/lib/a "b"/c.json` || j.config.Node.Name != "node1" {
		t.Errorf("the configuration:\n%s", j.text)
	}
}

func TestNewConfigurationNamesUnitsOfAnyKind(t *testing.T) {
	t.Parallel()
	for unit, name := range map[string]string{"app@one": "aapp-one", `a\x2db`: "aa-x2db", "plain.service": "plain", "_x:y": "a_x-y"} {
		j := newJob(Options{Root: newRoot(t, ""), Unit: unit, Accounts: []string{"admin"}, Store: embedded()})
		if err := j.configure(); err != nil {
			t.Errorf("%s: %v", unit, err)
		} else if got := j.config.Applications[0].Name; got != name {
			t.Errorf("%s: named %q, want %q", unit, got, name)
		}
	}
}

func TestFlagsBesideAConfiguration(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name    string
		options Options
		says    string // empty: no contradiction
	}{
		{"none", Options{}, ""},
		{"the same", Options{Unit: "128T", Accounts: []string{"user222", "admin"}, Store: map[string]any{"driver": "sqlite"}}, ""},
		{"accounts of the only unit", Options{Accounts: []string{"admin", "user222"}}, ""},
		{"another unit", Options{Unit: "other"}, `no application with the unit "other.service"`},
		{"fewer accounts", Options{Unit: "128T", Accounts: []string{"admin"}}, "the accounts of 128T.service are admin, user222"},
		{"another store", Options{Store: map[string]any{"driver": "json"}}, "store.driver of 128T.service is sqlite"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.options.Root = newRoot(t, inPlace)
			err := newJob(c.options).configure()
			var contradiction *ContradictionError
			switch {
			case c.says == "" && err != nil:
				t.Errorf("configure: %v", err)
			case c.says != "" && (!errors.As(err, &contradiction) || !strings.Contains(err.Error(), c.says)):
				t.Errorf("configure: %v; want %q", err, c.says)
			}
		})
	}
}

func TestWithoutConfigurationFlagsAreNeeded(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{{}, {Unit: "128T"}, {Accounts: []string{"admin"}}} {
		o.Root = newRoot(t, "")
		if err := newJob(o).configure(); !errors.Is(err, ErrIncomplete) {
			t.Errorf("configure(%+v) = %v", o, err)
		}
	}
	var noStore *NoStoreError
	if err := newJob(Options{Root: newRoot(t, ""), Unit: "128T", Accounts: []string{"admin"}}).configure(); !errors.As(err, &noStore) {
		t.Errorf("configure without a store = %v", err)
	}
	unnamed := newRoot(t, strings.Split(inPlace, "[application.store]")[0])
	if err := newJob(Options{Root: unnamed}).configure(); !errors.As(err, &noStore) || noStore.File == "" {
		t.Errorf("configure with a file that names no store = %v", err)
	}
	writeFile(t, filepath.Join(unnamed, systemd.DropInPath("/etc", "128T.service")), "")
	if err := newJob(Options{Root: unnamed}).configure(); err != nil {
		t.Errorf("configure of what is wired with the embedded store = %v", err)
	}
	bad := newJob(Options{Root: newRoot(t, ""), Unit: "128T", Accounts: []string{"admin"}, Store: map[string]any{"driver": "nonsense"}})
	if err := bad.configure(); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("configure with an unknown driver = %v", err)
	}
}

// takeBack deletes unchanged files that the ledger wrote, and the folders that it made. Changed
// files stay.
func TestLedger(t *testing.T) {
	t.Parallel()
	l := &ledger{root: newRoot(t, "")}
	defer l.close()
	ctx := t.Context()
	if entries, err := l.entries(ctx); err != nil || len(entries) != 0 || l.exists() {
		t.Fatalf("a record before anything was written: %v, %v", entries, err)
	}
	const name = "/etc/made/file"
	path := filepath.Join(l.root, name)
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(l.write(ctx, name, []byte("one"), 0o600))
	check(l.write(ctx, name, []byte("two"), 0o600))
	if text, err := os.ReadFile(path); err != nil || string(text) != "two" {
		t.Fatalf("the file holds %q, %v", text, err)
	}
	left, err := l.takeBack(ctx, name)
	if _, there := os.Stat(filepath.Dir(path)); err != nil || left || !errors.Is(there, os.ErrNotExist) {
		t.Errorf("takeBack = %v, %v; the folder: %v", left, err, there)
	}
	if entries, err := l.entries(ctx); err != nil || len(entries) != 0 {
		t.Errorf("still on record: %v, %v", entries, err)
	}

	check(l.write(ctx, name, []byte("three"), 0o600))
	writeFile(t, path, "somebody's")
	if left, err := l.takeBack(ctx, name); err != nil || !left {
		t.Errorf("takeBack of a changed file = %v, %v", left, err)
	}
	writeFile(t, filepath.Join(l.root, "etc/foreign"), "somebody's")
	if err := l.write(ctx, "/etc/foreign", []byte("ours"), 0o600); !errors.Is(err, errForeign) {
		t.Errorf("a foreign file was overwritten: %v", err)
	}
}

// Files that setup wrote are recognised without their record, unless they were changed.
func TestLedgerRecognises(t *testing.T) {
	t.Parallel()
	l := &ledger{root: newRoot(t, "")}
	defer l.close()
	text := dropInTexts()[1]
	for path, text := range map[string]string{
		"/etc/systemd/system/a.service.d/50-shadowsync.conf": text,
		"/etc/systemd/system/b.service.d/50-shadowsync.conf": text + "# changed\n",
		"/etc/systemd/system/c.service.d/50-shadowsync.conf": text,
		"/etc/systemd/system/c.service.d/50-theirs.conf":     text,
		capabilityPath: capabilityText,
	} {
		path = filepath.Join(l.root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, path, text)
	}
	if _, err := l.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	found, err := l.recognise(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, f := range found {
		paths = append(paths, f.Path)
	}
	slices.Sort(paths)
	want := []string{
		"/etc/systemd/system/a.service.d/", "/etc/systemd/system/a.service.d/50-shadowsync.conf",
		"/etc/systemd/system/c.service.d/50-shadowsync.conf", filepath.Dir(capabilityPath) + "/", capabilityPath,
	}
	if !slices.Equal(paths, want) {
		t.Errorf("recognised %q, want %q", paths, want)
	}
}

// A setup that was killed between the record and the file can still be undone.
func TestLedgerForgetsWhatWasNeverWritten(t *testing.T) {
	t.Parallel()
	l := &ledger{root: newRoot(t, "")}
	defer l.close()
	for _, entry := range []state.SetupFile{{Path: "/etc/made/", Wrote: folderMark}, {Path: "/etc/made/file", Wrote: digest(nil)}} {
		if err := l.put(t.Context(), entry); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := l.takeBack(t.Context(), "/etc/made/file"); err != nil || left {
		t.Errorf("takeBack = %v, %v", left, err)
	}
	if entries, _ := l.entries(t.Context()); len(entries) != 0 {
		t.Errorf("still on record: %v", entries)
	}
}

// A dry run on a machine that is not set up leaves nothing behind, not even a state.
func TestDryRunWritesNothing(t *testing.T) {
	t.Parallel()
	root := newRoot(t, "")
	writeFile(t, filepath.Join(root, "etc/passwd"), "admin:x:1000:1000::/home/admin:/bin/sh\n")
	writeFile(t, filepath.Join(root, "etc/shadow"), "admin:$6$saltsalt$"+strings.Repeat("a", 86)+":20000:0:99999:7:::\n")
	j := newJob(Options{Root: root, Unit: "128T", Accounts: []string{"admin"}, Store: embedded(), DryRun: true})
	if err := j.configure(); err != nil {
		t.Fatal(err)
	}
	if err := j.run(t.Context(), append(j.imports(), only(j.wiring(t.Context()), []Name{StepDropIns, StepPAM})...)); err != nil {
		t.Fatal(err)
	}
	if j.ledger.exists() {
		t.Error("a dry run made a state")
	}
	var said strings.Builder
	if err := j.result.Print(&said); err != nil {
		t.Fatal(err)
	}
	want := `to do     configuration /etc/shadowsync/shadowsync.toml
to do     baseline of the accounts
to do     hooks around 128T.service
left out  lines in the PAM stacks
          the system at ` + root + ` is not running: run shadowsync setup on it
`
	if said.String() != want {
		t.Errorf("a dry run says:\n%s\nwant:\n%s", said.String(), want)
	}
}

func TestDifferenceShowsNoHash(t *testing.T) {
	t.Parallel()
	hash := "$6$saltsalt$" + strings.Repeat("a", 86)
	os, store := shadowsync.NoAgeing(), shadowsync.Credential{Hash: hash, Locked: true}
	os.Hash, os.LastChange = "*", 20000
	d := difference(config.Application{Name: "conductor"}, shadowsync.Outcome{Account: "admin", Reason: "they differ", OS: &os, Store: &store})
	want := `OS and credential store differ, and nothing tells which is right:
  admin (conductor): they differ
    OS:    no login, last change 2024-10-04
    store: sha512crypt, last change unknown, locked`
	if got := (&FirstDifferenceError{Differences: []Difference{d}}).Error(); got != want {
		t.Errorf("the error says:\n%s\nwant:\n%s", got, want)
	}
}

func TestImportErrorTellsTheKind(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name  string
		state shadowsync.ChangeState
		fault *shadowsync.StoreFault
		want  error
	}{
		{"malformed", shadowsync.Conflict, &shadowsync.StoreFault{Malformed: true}, shadowsync.ErrMalformed},
		{"unavailable", shadowsync.Pending, &shadowsync.StoreFault{}, shadowsync.ErrUnavailable},
		{"gone", shadowsync.Missing, nil, shadowsync.ErrNoAccount},
		{"refused by the store", shadowsync.Conflict, nil, ErrUndecided},
	}
	for _, c := range cases {
		if err := importError(config.Application{}, shadowsync.Outcome{State: c.state}, c.fault); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	for _, fine := range []shadowsync.ChangeState{shadowsync.InSync, shadowsync.NeedsLogin} {
		if err := importError(config.Application{}, shadowsync.Outcome{State: fine}, nil); err != nil {
			t.Errorf("%s: %v", fine, err)
		}
	}
}

func TestUnitOfDropIn(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/etc/systemd/system/128T.service.d/50-shadowsync.conf": "128T.service",
		"/etc/systemd/system/128T.service.d/90-mine.conf":       "",
		"/etc/systemd/system/128T.service.d/":                   "",
		"/etc/shadowsync/shadowsync.toml":                       "",
	} {
		if got, ok := unitOfDropIn(path); ok != (want != "") || ok && got != want {
			t.Errorf("%s is of %q, %v; want %q", path, got, ok, want)
		}
	}
}

func TestAdviceFollowsTheFault(t *testing.T) {
	t.Parallel()
	if got := advice(pamstack.Login, ErrLocalModifications, Profiles); !strings.Contains(got, "pam-auth-update --force --enable shadowsync shadowsync-judge") || !strings.Contains(got, "common-auth") {
		t.Errorf("advice on local edits:\n%s", got)
	}
	if got := advice(pamstack.Announce, pamstack.ErrAfterFailure, Profiles); !strings.Contains(got, "pam_deny.so") {
		t.Errorf("advice on the shape:\n%s", got)
	}
}

// TestSetupTellsOfOtherNames: the first change would separate the store from its other hard link.
func TestSetupTellsOfOtherNames(t *testing.T) {
	t.Parallel()
	root := newRoot(t, "")
	file := filepath.Join(root, "srv/users.json")
	writeFile(t, file, "{}")
	j := newJob(Options{
		Root: root, Unit: "128T", Accounts: []string{"admin"},
		Store: map[string]any{"driver": "json", "path": "/srv/users.json", "users": "/u", "name": "n", "password": "p"},
	})
	if err := j.configure(); err != nil {
		t.Fatal(err)
	}
	for _, linked := range []bool{false, true} {
		if linked {
			if err := os.Link(file, file+".too"); err != nil {
				t.Fatal(err)
			}
		}
		_ = j.check(t.Context()) // it reports what else this system lacks
		if told := strings.Contains(strings.Join(j.result.Notes, "\n"), "has 2 names (hard links)"); told != linked {
			t.Errorf("linked %v: told of %q", linked, j.result.Notes)
		}
	}
}

// A setup that failed does not say that everything is as it must be.
func TestPrintOfAFailedSetup(t *testing.T) {
	for failed, want := range map[bool]bool{false: true, true: false} {
		var text strings.Builder
		if err := (Result{Steps: []Outcome{{What: "x", State: Kept}}, Failed: failed}).Print(&text); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(text.String(), "Nothing to do") != want {
			t.Errorf("failed %v: it says\n%s", failed, text.String())
		}
	}
}
