package machine

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// These hold for the tests' appliance wherever it is installed.
const (
	ApplianceUnit = "128T.service"
	// OldPassword opens both accounts, in OS and store, when the appliance is installed.
	OldPassword = "lost-Kelp-4711"
	// StorePath is the appliance's user database, StoreUsers the JSON pointer to its users.
	StorePath  = "/var/lib/128technology/user-running.json"
	StoreUsers = "/datastore/config/authority/router/0/user"
	// StoreOwner owns the store and its folder, and has no other use.
	StoreOwner = "t128"

	applianceProgram = "/usr/lib/128technology/appliance"
)

// Configuration is what shadowsync must know about the appliance; it reads it from
// ConfigurationPath.
const (
	ConfigurationPath = "/etc/shadowsync/shadowsync.toml"

	Configuration = `[node]
name  = "node1"
asset = "conductor"

[[application]]
name     = "conductor"
unit     = "` + ApplianceUnit + `"
accounts = ["admin", "user222"]

[application.store]
driver   = "json"
path     = "` + StorePath + `"
users    = "` + StoreUsers + `"
name     = "name"
password = "password"
`
)

// Appliance says what kind of appliance to install. The zero value is the usual one, which dumps
// its users only while it stops.
type Appliance struct {
	Unit       string        // ApplianceUnit if empty
	Accounts   []string      // admin and user222 if empty
	Tool       string        // the program that rewrites the OS accounts: usermod, the default, or chpasswd
	Restart    string        // Restart= of the unit; "no" if empty
	DumpEvery  time.Duration // also dump at this interval; never if 0
	CrashAfter time.Duration // exit with status 1 this long after each start; never if 0
	Embedded   string        // path of shadowsync's embedded store, which the appliance reads instead of its own file
}

func (a Appliance) withDefaults() Appliance {
	a.Unit = cmp.Or(a.Unit, ApplianceUnit)
	a.Tool = cmp.Or(a.Tool, "usermod")
	a.Restart = cmp.Or(a.Restart, "no")
	if len(a.Accounts) == 0 {
		a.Accounts = []string{"admin", "user222"}
	}
	return a
}

func (a Appliance) store() string {
	if a.Embedded != "" {
		return "sqlite:" + a.Embedded
	}
	return StorePath
}

// unitFile sets no start limit, so that a crash loop goes on.
func (a Appliance) unitFile() string {
	return fmt.Sprintf(`[Unit]
Description=Session router, an appliance with its own user database
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart=%s -store=%s -tool=%s -dump-every=%s -crash-after=%s
Restart=%s
TimeoutStartSec=20
TimeoutStopSec=20

[Install]
WantedBy=multi-user.target
`, applianceProgram, a.store(), a.Tool, a.DumpEvery, a.CrashAfter, a.Restart)
}

// InstallAppliance creates the accounts with OldPassword in the OS and the store, starts the
// appliance, and enables it for every boot.
func (m *Machine) InstallAppliance(ctx context.Context, appliance Appliance) error {
	appliance = appliance.withDefaults()
	program, err := applianceBinary()
	if err != nil {
		return err
	}
	if err := m.WriteFile(ctx, applianceProgram, program, 0o755); err != nil {
		return err
	}
	for _, account := range appliance.Accounts {
		if err := m.AddUser(ctx, account, OldPassword); err != nil {
			return err
		}
	}
	if appliance.Embedded == "" {
		if err := m.writeStore(ctx, appliance.Accounts); err != nil {
			return err
		}
	}
	unit := "/etc/systemd/system/" + appliance.Unit
	if err := m.WriteFile(ctx, unit, []byte(appliance.unitFile()), 0o644); err != nil {
		return err
	}
	_, err = m.do(ctx, Shell("systemctl daemon-reload && systemctl enable --quiet --now "+appliance.Unit))
	return err
}

// applianceBinary builds a static appliance once per process and keeps it in memory, so that no
// test leaves it in a folder.
var applianceBinary = sync.OnceValues(func() ([]byte, error) {
	repository, err := repositoryRoot()
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "shadowsync-appliance-")
	if err != nil {
		return nil, fmt.Errorf("cannot build the appliance: %w", err)
	}
	defer os.RemoveAll(folder)
	program := filepath.Join(folder, "appliance")
	build := exec.Command("go", "build", "-trimpath", "-o", program, "./internal/test/machine/appliance")
	build.Dir = repository
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("cannot build the appliance: %w\n%s", err, out)
	}
	return os.ReadFile(program)
})

// storeText is formatted by hand in an unusual style. It contains data that a driver must keep:
// keys not in alphabetical order, spaces, escapes, a number above 2^53, and a user unknown to the
// OS.
const storeText = `{ "version": 9007199254740993, "datastore": {
   "config"  : {
	"authority": {"name":"Authority128", "conductor-address": [ "10.0.0.1","10.0.0.2" ],
	  "router": [
	     { "name" : "node1.conductor", "location":"B\u00fcro 3 \/ Keller", "inter-node-security" : "internal",
	       "user" : [
%s
	         { "name" : "monitor" , "password":"$2b$10$abcdefghijklmnopqrstuuJ9Zb3Jw0e8H1VvV6v0m9m8m7m6m5m4m","role":["user"], "enabled": false }
	       ],
	       "node":[{"name":"node1","role":"conductor","port":[1,2,3.50,1e3]}]
	     }
	  ] , "zzz":null, "aaa": true
	} } } }
`

func (m *Machine) writeStore(ctx context.Context, accounts []string) error {
	var users strings.Builder
	for _, account := range accounts {
		hash, err := m.ShadowHash(ctx, account)
		if err != nil {
			return err
		}
		fmt.Fprintf(&users, "\t         { \"name\":%q,\"password\" : %q,   \"role\": [ \"admin\" ], \"last-login\":  1763755200 },\n", account, hash)
	}
	folder := filepath.Dir(StorePath)
	makeOwner := fmt.Sprintf("useradd --system --home-dir %[2]s --shell /usr/sbin/nologin %[1]s && install -d -o %[1]s -g %[1]s -m 755 %[2]s", StoreOwner, folder)
	if _, err := m.do(ctx, Shell(makeOwner)); err != nil {
		return err
	}
	text := strings.Replace(storeText, "%s", strings.TrimSuffix(users.String(), "\n"), 1)
	if err := m.WriteFile(ctx, StorePath, []byte(text), 0o600); err != nil {
		return err
	}
	_, err := m.do(ctx, Command{Args: []string{"chown", StoreOwner + ":" + StoreOwner, StorePath}})
	return err
}

// ShadowHash returns field 2 of the account's line in shadow(5).
func (m *Machine) ShadowHash(ctx context.Context, account string) (string, error) {
	shadow, err := m.ReadFile(ctx, "/etc/shadow")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(shadow)) {
		if field := strings.Split(line, ":"); field[0] == account && len(field) > 1 {
			return field[1], nil
		}
	}
	return "", fmt.Errorf("cannot find %q in the machine's shadow file", account)
}

// StoreHash returns the account's password in the appliance's store file.
func (m *Machine) StoreHash(ctx context.Context, account string) (string, error) {
	text, err := m.ReadFile(ctx, StorePath)
	if err != nil {
		return "", err
	}
	var store struct {
		Datastore struct {
			Config struct {
				Authority struct {
					Router []struct {
						User []struct{ Name, Password string }
					}
				}
			}
		}
	}
	if err := json.Unmarshal(text, &store); err != nil {
		return "", fmt.Errorf("cannot read the appliance's store: %w", err)
	}
	known := map[string]string{}
	for _, router := range store.Datastore.Config.Authority.Router {
		for _, user := range router.User {
			known[user.Name] = user.Password
		}
	}
	hash, found := known[account]
	if !found {
		return "", fmt.Errorf("cannot find %q in the appliance's store, only %q", account, slices.Sorted(maps.Keys(known)))
	}
	return hash, nil
}

// AskAppliance sends a command to the appliance's own user interface: "set", name, hash; or "list".
func (m *Machine) AskAppliance(ctx context.Context, words ...string) (string, error) {
	return m.do(ctx, Command{Args: slices.Concat([]string{applianceProgram, "ask"}, words)})
}
