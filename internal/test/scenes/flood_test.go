package scenes

import (
	"strconv"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// restless rewrites a store as its application does, with new hashes for accounts every five
// milliseconds, until a file is removed. Then it prints how often it did so.
const restless = `
import os, re, sys, time
path, sign, *accounts = sys.argv[1:]
def renew(text):
    for account in accounts:
        new = "$6$" + os.urandom(8).hex() + "$" + os.urandom(43).hex()
        text = re.sub(r'("name"\s*:\s*"%s"\s*,\s*"password"\s*:\s*)"[^"]*"' % account, lambda m: m[1] + '"' + new + '"', text)
    return text
n = 0
while os.path.exists(sign):
    with open(path) as f:
        text = renew(f.read())
    with open(path + ".new", "w") as f:
        os.fchmod(f.fileno(), 0o600)
        f.write(text)
    os.rename(path + ".new", path)
    n += 1
    time.sleep(0.005)
print(n)
`

// floodedStore: a store changes all the time. root's passwd does not wait longer because of that,
// the trail stays short, and the last value holds in the end.
func floodedStore(s *stage) {
	const sign = "/run/restless"
	before := map[string]int{"admin": len(s.audit("admin")), "user222": len(s.audit("user222"))}
	s.WriteFile(sign, "", 0o600)
	began := time.Now()
	flood := s.Start("setpriv", "--reuid", machine.StoreOwner, "--regid", machine.StoreOwner, "--init-groups",
		"python3", "-c", restless, machine.StorePath, sign, "admin", "user222")
	s.eventually("the spacing", machine.Patience, func() bool {
		select {
		case <-flood.Done():
			s.t.Fatalf("the flood ended: %s", flood.Output())
		default:
		}
		return len(s.audit("user222")) > before["user222"]+30
	})
	for range 3 {
		asked := time.Now()
		said := s.passwd("admin", "Beside-the-flood-5")
		if took := time.Since(asked); took > 2*time.Second+slack {
			s.t.Errorf("passwd took %v", took)
		}
		s.says(said, "persisted in conductor's credential store")
	}
	s.t.Logf("flooded for %v", time.Since(began))
	s.Must("rm", sign)
	<-flood.Done()
	if n, err := strconv.Atoi(strings.TrimSpace(flood.Output())); err != nil || n < 100 {
		s.t.Errorf("the flood says %q", flood.Output())
	}
	last := map[string]string{"admin": s.StoreHash("admin"), "user222": s.StoreHash("user222")}
	for account, hash := range last {
		s.eventually("the last value of "+account, 70*time.Second, func() bool { return s.ShadowHash(account) == hash })
		s.inStore(account)
		n := len(s.audit(account)) - before[account]
		s.t.Logf("%d records of %s", n, account)
		if n > 2*36+4*3 { // by the broker, by the watch over the last start, and for each passwd
			s.t.Errorf("%d records of %s", n, account)
		}
	}
}
