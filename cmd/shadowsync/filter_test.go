package main

import (
	"maps"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// twoApplications manages user222 by an application of its own. admin is queued, user222 in sync.
func twoApplications(t *testing.T) *system {
	t.Helper()
	s := newSystem(t)
	one := strings.Replace(testConfig, `["admin", "user222"]`, `["admin"]`, 1)
	_, application, _ := strings.Cut(one, "[[application]]")
	other := strings.NewReplacer(`"conductor"`, `"billing"`, "128T.service", "billing.service", "admin", "user222").Replace(application)
	s.write("/etc/shadowsync/shadowsync.toml", 0o600, one+"\n[[application]]"+other)
	s.must(0, "sync")
	s.usermod("admin", s.hash("new"))
	return s
}

// listing is what a command shows as JSON.
type listing struct {
	Applications []struct {
		Name     string
		Counts   map[string]int
		Accounts []struct{ Name string }
	}
	Users []struct{ Name string }
}

func TestFilter(t *testing.T) {
	s := twoApplications(t)
	both := map[string]int{"in-sync": 1, "queued": 1}
	for line, want := range map[string]struct {
		accounts string
		counts   map[string]int
	}{
		"":                               {"admin user222", both},
		"admin":                          {"admin", map[string]int{"queued": 1}},
		"user222 admin":                  {"admin user222", both},
		"--application billing":          {"user222", map[string]int{"in-sync": 1}},
		"--application billing.service":  {"user222", map[string]int{"in-sync": 1}},
		"--application 128T":             {"admin", map[string]int{"queued": 1}},
		"--problems":                     {"admin", both},
		"--state in-sync":                {"user222", both},
		"--state in-sync,queued":         {"admin user222", both},
		"--state in-sync --state queued": {"admin user222", both},
		"--state conflict":               {"", both},
		"--problems --state in-sync":     {"", both},
		"--problems user222":             {"", map[string]int{"in-sync": 1}},
		"admin --application conductor --problems": {"admin", map[string]int{"queued": 1}},
	} {
		t.Run(line, func(t *testing.T) {
			for _, command := range []string{"status --json ", "user list --json "} {
				var got listing
				s.must(0, strings.Fields(command+line)...).object(t, &got)
				names, counts := []string{}, map[string]int{}
				for _, application := range got.Applications {
					for _, account := range application.Accounts {
						names = append(names, account.Name)
					}
					for state, n := range application.Counts {
						counts[state] += n
					}
				}
				for _, user := range got.Users {
					names = append(names, user.Name)
				}
				if strings.Join(names, " ") != want.accounts || !maps.Equal(counts, want.counts) {
					t.Errorf("%s: %v, %v", command, names, counts)
				}
			}
		})
	}
}

// TestFilterUnknown: what does not exist is exit 5 with a hint; what exists is shown all the same.
func TestFilterUnknown(t *testing.T) {
	s := twoApplications(t)
	for line, want := range map[string]struct{ shows, says, hint string }{
		"nobody":                      {"", `no application manages an account "nobody"`, "user list"},
		"nobody admin":                {"admin", `no application manages an account "nobody"`, "user list"},
		"--application nothing":       {"", `there is no application "nothing"`, "status"},
		"--application nothing admin": {"", `there is no application "nothing"`, "status"},
		"--application billing admin": {"", `application billing does not manage an account "admin"`, "user list"},
		"billing":                     {"", `no application manages an account "billing"`, "COMMAND --application billing"},
	} {
		for _, command := range []string{"status", "user list"} {
			r := s.must(5, append(strings.Fields(command), strings.Fields(line)...)...)
			hint := "hint: " + s.ours(strings.Replace(want.hint, "COMMAND", command, 1)) + "\n"
			if !strings.Contains(r.err, want.says) || !strings.Contains(r.err, hint) || want.shows == "" != (r.out == "") || !strings.Contains(r.out, want.shows) {
				t.Errorf("%s %s prints %q, %q", command, line, r.out, r.err)
			}
		}
	}
	s.must(2, "status", "--state", "fine")
	s.must(2, "user", "list", "--state", "fine")
	s.must(2, "user", "list", "--hashes", "--problems")
	if r := s.must(0, "user", "list", "--hashes", "--application", "billing"); strings.Contains(r.out, "conductor") || !strings.Contains(r.out, "billing") {
		t.Errorf("the formats of billing are:\n%s", r.out)
	}
}

// TestFilteredCheck: --check goes by what is read, not by what is shown.
func TestFilteredCheck(t *testing.T) {
	s := twoApplications(t)
	for line, status := range map[string]int{
		"": 3, "admin": 3, "user222": 0, "--application billing": 0, "--application conductor": 3, "--state in-sync": 3, "--problems": 3, "--problems user222": 0,
		"user222 nobody": 5,
	} {
		s.must(status, append([]string{"status", "--check"}, strings.Fields(line)...)...)
	}
}

// TestFilterBeforeSetup: before setup the same options hold.
func TestFilterBeforeSetup(t *testing.T) {
	s := newSystem(t)
	if r := s.must(0, "status", "admin"); !strings.Contains(r.out, "admin") || strings.Contains(r.out, "user222") || !strings.Contains(r.out, "1 queued") {
		t.Errorf("it says:\n%s", r.out)
	}
	s.must(5, "status", "nobody")
}

func TestCounts(t *testing.T) {
	for want, counts := range map[string]stateCounts{
		"no accounts":                {},
		"1,998 in-sync, 2 pending":   {shadowsync.Pending: 2, shadowsync.InSync: 1998},
		"100,000 unknown":            {unknown: 100_000},
		"999 in-sync, 1,000 missing": {shadowsync.InSync: 999, shadowsync.Missing: 1000},
	} {
		if got := counts.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if len(statesInOrder) != len(urgency) {
		t.Errorf("%d states have a name, %d an urgency", len(statesInOrder), len(urgency))
	}
}

// TestManyAlike: the same problem of many accounts is explained once, that of a few for each.
func TestManyAlike(t *testing.T) {
	reason, other := "store: read-only file system", "store: no space left on device"
	var accounts []accountStatus
	for _, name := range strings.Fields("a b c d e f") {
		accounts = append(accounts, accountStatus{Name: name, State: shadowsync.Pending, Reason: &reason})
	}
	accounts = append(accounts, accountStatus{Name: "g", State: shadowsync.InSync}, accountStatus{Name: "h", State: shadowsync.Pending, Reason: &other})
	var groups []string
	for _, alike := range problems(accounts) {
		group := ""
		for _, account := range alike {
			group += account.Name
		}
		groups = append(groups, group)
	}
	if got := strings.Join(groups, " "); got != "abcdef h" {
		t.Errorf("explained are %q", got)
	}
	if got := len(problems(accounts[1:])); got != fewAlike+1 {
		t.Errorf("%d explanations of five accounts and one", got)
	}
}
