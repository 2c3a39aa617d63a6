package scenes

import (
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// crew is an account of three servers: an application with a store in each.
const crew = "crew"

// faultyStore is one of its stores.
type faultyStore struct {
	passwordFile
	holder      string // its name in status
	spoil, mend string
	says        string // what passwd says of it then
}

// faultyStores are three, with three faults.
func faultyStores() []faultyStore {
	web, imap, mqtt := passwordFiles[0], passwordFiles[1], passwordFiles[3]
	const held = "; restart of nginx.service is held until it is"
	return []faultyStore{
		{
			web, crew, fullFolder(web.folder()), "rm " + web.folder() + "/fill && umount " + web.folder() + " && cp -a /mnt/full/. " + web.folder() + "/ && umount /mnt/full",
			"NOT persisted (" + crew + ": no space left on device)" + held,
		},
		{imap, crew + ".imap", readOnlyBind(imap.folder()), "umount " + imap.folder(), "NOT persisted (" + crew + ".imap: read-only file system)" + held},
		{mqtt, crew + ".mqtt", reloadingBy("/bin/sleep 1000", mqtt.unit), reloadingWell(mqtt.unit), "written to " + crew + ".mqtt's credential store; NOT in force (reload of " + mqtt.unit + " failed: no answer in time)"},
	}
}

// threeFaults: of three stores, each with a fault of its own, passwd tells each one's, within its two seconds. Each store
// takes the change by itself once its own fault is mended, in another order than theirs.
func threeFaults(s *stage) {
	stores := faultyStores()
	configuration := "\n[[application]]\nname = \"" + crew + "\"\nunit = \"nginx.service\"\naccounts = [\"" + crew + "\"]\n"
	for i := range stores {
		f := &stores[i]
		rest, _, _ := strings.Cut(f.after, "\n")
		line := f.before[strings.LastIndexByte(f.before, '\n')+1:] + f.value + rest
		s.MustShell("sed -i '$a\\' " + f.path + " && echo '" + strings.Replace(line, f.account, crew, 1) + "' >>" + f.path) // sed ends an unfinished line
		configuration += "[[application.store]]\nstore_name = \"" + f.account + "\"\n" + f.keys()
		f.account = crew
	}
	s.AddUser(crew, formerPassword)
	s.WriteFile(machine.ConfigurationPath, "[node]\nname = \"node1\"\n"+configuration, 0o600)
	if r := s.Run("shadowsync", "setup", "--first", "os"); r.Code != 0 && r.Code != 3 {
		s.t.Fatalf("setup: %s", r)
	}
	s.persists(crew, "Three-0", crew+"'s, "+crew+".imap's and "+crew+".mqtt's")
	for _, f := range stores {
		s.MustShell(f.spoil)
	}
	said, took := "", time.Duration(0)
	s.WaitFor("each store's own answer", machine.Patience, func() bool {
		said, took = s.answeredIn(crew, "Three-1")
		return !strings.Contains(said, ": no answer in time); restart of ")
	})
	if limit := 2*time.Second + slack; took > limit {
		s.t.Errorf("passwd took %v, want at most %v", took, limit)
	}
	for _, f := range stores {
		s.says(said, "shadowsync: "+crew+": "+f.says)
	}
	order := []int{1, 0, 2} // the reload that hangs holds nobody up
	s.pendingIn(stores, order)
	for n, i := range order {
		f := stores[i]
		s.MustShell(f.mend)
		s.eventually(f.holder+" has drained", machine.Patience, func() bool { return s.stateIn(f.holder, crew) == "in-sync" })
		s.pendingIn(stores, order[n+1:])
		f.serves(s, "Three-1", "Three-0")
	}
	s.eventually("nothing is guarded", machine.Patience, func() bool { return s.applications()[crew].Guard == "off" })
}

// pendingIn asserts that the account is pending in these stores, by their numbers.
func (s *stage) pendingIn(stores []faultyStore, numbers []int) {
	s.t.Helper()
	for _, i := range numbers {
		if state := s.stateIn(stores[i].holder, crew); state != "pending" {
			s.t.Errorf("%s: %s is %s", stores[i].holder, crew, state)
		}
	}
}
