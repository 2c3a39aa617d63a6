package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/shadowsync/shadowsync/internal/account/barrier"
	"github.com/shadowsync/shadowsync/internal/account/sessions"
	"github.com/shadowsync/shadowsync/internal/admin/doctor"
	"github.com/shadowsync/shadowsync/internal/admin/setup"
	"github.com/shadowsync/shadowsync/internal/state/backup"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// These describe output that the program prints in pieces and so has no type for.
type (
	verbObject struct {
		Verb     string          `json:"verb"`
		Accounts []accountResult `json:"accounts"`
		Summary  summary         `json:"summary"`
	}
	auditObject struct {
		Events []auditRecord `json:"events"`
	}
)

// objects maps the object names of json.md to their types.
var objects = map[string]reflect.Type{
	"status": reflect.TypeFor[systemStatus](), "node": reflect.TypeFor[nodeStatus](), "application": reflect.TypeFor[applicationStatus](),
	"alarm": reflect.TypeFor[alarmStatus](), "start hook": reflect.TypeFor[hookStatus](),
	"store": reflect.TypeFor[storeStatus](), "account": reflect.TypeFor[accountStatus](), "origin": reflect.TypeFor[shadowsync.Origin](),
	"sync": reflect.TypeFor[syncResult](), "synced application": reflect.TypeFor[syncApplication](), "synced account": reflect.TypeFor[syncAccount](),
	"users": reflect.TypeFor[userList](), "listed application": reflect.TypeFor[listedApplication](), "user": reflect.TypeFor[userStatus](), "directory user": reflect.TypeFor[directoryUser](), "side": reflect.TypeFor[sideStatus](), "other store": reflect.TypeFor[otherStore](),
	"session": reflect.TypeFor[shadowsync.Session](), "sessions": reflect.TypeFor[sessionsResult](), "door": reflect.TypeFor[sessions.Door](),
	"background session": reflect.TypeFor[sessions.LeftAlone](),
	"hashes":             reflect.TypeFor[hashReports](), "hash report": reflect.TypeFor[hashReport](),
	"verb": reflect.TypeFor[verbObject](), "result": reflect.TypeFor[accountResult](), "summary": reflect.TypeFor[summary](),
	"second factor": reflect.TypeFor[factorResult](), "second factors": reflect.TypeFor[resetOutput](),
	"barrier": reflect.TypeFor[barrier.Barrier](), "history": reflect.TypeFor[historyList](), "present entry": reflect.TypeFor[presentEntry](), "other present": reflect.TypeFor[otherPresent](), "history entry": reflect.TypeFor[historyEntry](),
	"guards": reflect.TypeFor[guardList](), "guard": reflect.TypeFor[guardStatus](),
	"audit": reflect.TypeFor[auditObject](), "record": reflect.TypeFor[auditRecord](), "verified": reflect.TypeFor[verified](), "trimmed": reflect.TypeFor[trimmed](),
	"backup": reflect.TypeFor[backupResult](), "database": reflect.TypeFor[backup.Database](), "restored factor": reflect.TypeFor[restoredFactor](), "planned account": reflect.TypeFor[planned](),
	"setup": reflect.TypeFor[setup.Result](), "step": reflect.TypeFor[setup.Outcome](), "imported": reflect.TypeFor[setup.Imported](),
	"differences": reflect.TypeFor[differences](), "difference": reflect.TypeFor[setup.Difference](), "side view": reflect.TypeFor[setup.SideView](),
	"page":          reflect.TypeFor[pageStatus](),
	"broker":        reflect.TypeFor[brokerStatus](),
	"configuration": reflect.TypeFor[configurationStatus](), "configuration check": reflect.TypeFor[configCheck](), "configured application": reflect.TypeFor[configuredApplication](),
	"drivers": reflect.TypeFor[driverList](), "driver": reflect.TypeFor[driverTraits](), "tried stores": reflect.TypeFor[triedStores](), "tried store": reflect.TypeFor[doctor.Tried](),
	"checks": reflect.TypeFor[doctor.Result](), "check": reflect.TypeFor[doctor.Finding](),
}

// fieldsOf returns a struct's JSON members with their types in the words of json.md.
func fieldsOf(of reflect.Type) map[string]string {
	fields := map[string]string{}
	for i := range of.NumField() {
		f := of.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous:
			maps.Copy(fields, fieldsOf(f.Type))
		case name != "" && name != "-":
			fields[name] = inWords(f.Type)
			if options == "omitempty" {
				fields[name] = strings.TrimSuffix(fields[name], " or null") + ", optional"
			}
		}
	}
	return fields
}

func inWords(of reflect.Type) string {
	for name, t := range objects {
		if t == of {
			return name
		}
	}
	switch {
	case of == reflect.TypeFor[time.Time]():
		return "time"
	case of.Kind() == reflect.Pointer:
		return inWords(of.Elem()) + " or null"
	case of.Kind() == reflect.Slice:
		return "list of " + inWords(of.Elem())
	case of.Kind() == reflect.Map:
		return inWords(of.Elem()) + " by name"
	case of.Kind() == reflect.String:
		return "text"
	case of.Kind() == reflect.Bool:
		return "true or false"
	}
	return "number"
}

// documented returns the objects of json.md, and which object each command prints.
func documented(t *testing.T) (of map[string]map[string]string, commands map[string]string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	of, commands = map[string]map[string]string{}, map[string]string{}
	object := ""
	for line := range strings.Lines(string(text)) {
		if heading := regexp.MustCompile("^### (.+)\n$").FindStringSubmatch(line); heading != nil {
			object = heading[1]
			of[object] = map[string]string{}
		}
		cells := regexp.MustCompile("^\\| `([^`]+)` \\| ([^|]+) \\|").FindStringSubmatch(line)
		switch {
		case cells == nil:
		case object == "":
			commands[cells[1]] = cells[2]
		default:
			of[object][cells[1]] = cells[2]
		}
	}
	return of, commands
}

// TestJSONDocument: json.md has exactly the fields that the program has.
func TestJSONDocument(t *testing.T) {
	told, _ := documented(t)
	for name, of := range objects {
		want := fieldsOf(of)
		if len(want) == 0 {
			t.Fatalf("%s has no fields: the test looks at the wrong place", name)
		}
		for field, kind := range want {
			if told[name][field] != kind {
				t.Errorf("%s: `%s` is %q, and json.md says %q", name, field, kind, told[name][field])
			}
		}
		for field := range told[name] {
			if want[field] == "" {
				t.Errorf("%s: json.md tells of `%s`, which is not there", name, field)
			}
		}
	}
	for name := range told {
		if objects[name] == nil {
			t.Errorf("json.md tells of the object %s, which is not there", name)
		}
	}
}

// TestJSONOfEveryCommand: each command is in json.md and prints what json.md says.
func TestJSONOfEveryCommand(t *testing.T) {
	told, commands := documented(t)
	s := newSystem(t)
	s.install()
	s.write("/pass", 0o600, "secret phrase\n")
	s.write("/etc/shadowsync/shadowsync.toml", 0o600, testConfig)
	s.usermod("admin", s.hash("another"))
	runs := []struct {
		line   string
		status int
	}{
		{"setup", 4},
		{"setup --first os", 0},
		{"user set password admin secret --no-policy", 0},
		{"user reset password admin user222", 0},
		{"user expire password admin", 0},
		{"user lock admin ghost", 5},
		{"user unlock admin", 0},
		{"history restore admin 1", 0},
		{"history admin", 0},
		{"status", 0},
		{"sync", 0},
		{"sync --dry-run", 0},
		{"user list", 0},
		{"user list --hashes", 0},
		{"user show admin", 0},
		{"config check", 0},
		{"store drivers", 0},
		{"store test", 0},
		{"guard status", 0},
		{"audit", 0},
		{"audit --verify", 0},
		{"audit trim", 0},
		{"backup " + s.path("/backup"), 0},
		{"restore " + s.path("/backup"), 0},
		{"remove", 0},
	}
	run := map[string]bool{}
	for _, r := range runs {
		words := strings.Fields(r.line)
		if words[0] == "backup" || words[0] == "restore" {
			words = append(words, "--stdin")
		}
		got := s.run("secret phrase\n", append(words, "--json")...)
		var printed any
		if err := json.Unmarshal([]byte(got.out), &printed); err != nil || got.status != r.status {
			t.Fatalf("%s: status %d, %v in\n%s%s", r.line, got.status, err, got.out, got.err)
		}
		command := commandOf(commands, r.line)
		object := commands[command]
		if r.status == 4 {
			object = "differences"
		}
		run[command] = true
		for _, fault := range faults(told, object, printed) {
			t.Errorf("%s: %s", r.line, fault)
		}
	}
	// These need a running system; TestJSONDocument checks their types.
	for _, live := range []string{"user enrol 2fa", "user check 2fa", "user renew 2fa codes", "user reset 2fa", "user set mail"} {
		run[live] = true // TestTheSecondFactorInJSON
	}
	for _, live := range []string{"user sessions", "user logout", "guard hold", "guard release", "doctor"} {
		run[live] = true
	}
	for _, command := range slices.Sorted(maps.Keys(commands)) {
		if !run[command] {
			t.Errorf("%s is in json.md and was not run", command)
		}
	}
	for _, command := range leaves(newRoot(newApp(nil, nil, nil)), "") {
		if commands[command] == "" && command != "hook" && command != "daemon" && !strings.HasPrefix(command, "completion ") {
			t.Errorf("%s is not in json.md", command)
		}
	}
}

// commandOf is the command of json.md that a command line runs: the longest match.
func commandOf(commands map[string]string, line string) (command string) {
	for name := range commands {
		all := !slices.ContainsFunc(strings.Fields(name), func(word string) bool { return !slices.Contains(strings.Fields(line), word) })
		if all && len(name) > len(command) {
			command = name
		}
	}
	return command
}

// leaves returns the commands that do something; audit and history do, although they have
// subcommands.
func leaves(c *cobra.Command, path string) (all []string) {
	subs := slices.DeleteFunc(slices.Clone(c.Commands()), func(s *cobra.Command) bool { return s.Hidden })
	for _, sub := range subs {
		all = append(all, leaves(sub, strings.TrimSpace(path+" "+sub.Name()))...)
	}
	if len(subs) == 0 || path == "audit" || path == "history" {
		all = append(all, path)
	}
	return all
}

// faults lists the differences between a printed value and its object in json.md.
func faults(told map[string]map[string]string, object string, printed any) (found []string) {
	fields, ok := told[object]
	members, isObject := printed.(map[string]any)
	if !ok || !isObject {
		return []string{fmt.Sprintf("%v is no %s", printed, object)}
	}
	for name, value := range members {
		kind, ok := fields[name]
		if !ok {
			found = append(found, fmt.Sprintf("%s has %q, of which json.md does not tell", object, name))
			continue
		}
		inner := strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(kind, "list of "), ", optional"), " or null")
		if told[inner] == nil || value == nil {
			continue
		}
		list, isList := value.([]any)
		if !isList {
			list = []any{value}
		}
		for _, one := range list {
			found = append(found, faults(told, inner, one)...)
		}
	}
	for name, kind := range fields {
		if _, ok := members[name]; !ok && !strings.HasSuffix(kind, ", optional") {
			found = append(found, fmt.Sprintf("%s lacks %q", object, name))
		}
	}
	return found
}
