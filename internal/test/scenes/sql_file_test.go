package scenes

import (
	"strings"
	"time"
)

const shopDatabase = "/srv/shop/shop.db"

// shopConfiguration is an application whose accounts are in a file of SQLite's, beside another application.
const shopConfiguration = `
[[application]]
name = "shop"
unit = "shop.service"
accounts = ["clerk"]

[application.store]
driver = "sql"
dsn = "sqlite://` + shopDatabase + `"
table = "staff"
name = "login"
password = "hash"
sessions = "token"
sessions_account = "staff_id"
sessions_refers = "id"
`

// inShop makes it, on a small file system of its own. At each start the shop gives the OS the password of its own table.
const inShop = `
useradd -r -d /srv/shop shop
mkdir /srv/shop
mount -t tmpfs -o size=1m,mode=750,uid=shop,gid=shop tmpfs /srv/shop
runuser -u shop -- sqlite3 ` + shopDatabase + ` <<'END'
CREATE TABLE staff (id INTEGER PRIMARY KEY, login TEXT UNIQUE, hash TEXT NOT NULL);
INSERT INTO staff (login, hash) VALUES ('clerk', '*'), ('other', 'stays');
CREATE TABLE token (staff_id INTEGER, value TEXT);
INSERT INTO token SELECT id, 'x' FROM staff;
END
cat >/usr/local/bin/shop-start <<'END'
#!/bin/sh
sqlite3 ` + shopDatabase + ` "SELECT login || ':' || hash FROM staff WHERE login = 'clerk' AND hash <> '*'" | chpasswd -e
END
chmod 755 /usr/local/bin/shop-start
printf '[Service]\nUser=shop\nExecStartPre=+/usr/local/bin/shop-start\nExecStart=/bin/sleep infinity\n' >/etc/systemd/system/shop.service
systemctl daemon-reload
systemctl start shop.service
`

// inShop runs SQL as the shop does.
func (s *stage) inShop(statement string) string {
	s.t.Helper()
	return strings.TrimSpace(s.Must("runuser", "-u", "shop", "--", "sqlite3", "-cmd", ".timeout 2000", shopDatabase, statement))
}

func (s *stage) clerkInShop() string {
	s.t.Helper()
	return s.inShop("SELECT hash FROM staff WHERE login = 'clerk'")
}

// othersTakeIt: while PostgreSQL hangs, has a full disk or was killed, the shop's store takes a password, and its restart
// waits for nothing. passwd is asked again if this machine was too slow for an answer.
func othersTakeIt(s *stage, t trouble) {
	s.t.Helper()
	if t.name != "hung" && t.name != "full" && !strings.HasPrefix(t.name, "killed") {
		return
	}
	s.persists("clerk", "While-another-hangs-1", "shop's")
	if s.clerkInShop() != s.ShadowHash("clerk") || s.guards("shop.service") {
		s.t.Errorf("the shop's table holds %.12q, guarded %v", s.clerkInShop(), s.guards("shop.service"))
	}
	began := time.Now()
	if s.Must("systemctl", "restart", "shop.service"); time.Since(began) > 5*time.Second {
		s.t.Errorf("its restart took %v", time.Since(began))
	}
	s.opens("clerk", "While-another-hangs-1", "")
}

// heldBy starts a program that keeps the shop's database to itself, and waits until it does.
const heldBy = `systemd-run -q --unit=writer -p User=shop sh -c '(echo "BEGIN EXCLUSIVE;"; exec sleep infinity) | exec sqlite3 ` + shopDatabase + `'
for i in $(seq 200); do runuser -u shop -- sqlite3 ` + shopDatabase + ` 'SELECT count(*) FROM staff' >/dev/null 2>&1 || exit 0; sleep 0.05; done; exit 1`

// inSQLiteTroubles are what may be wrong with a file. They end with one that makes shadowsync wait: for two seconds after
// that it leaves the store alone, and passwd says what it said before.
var inSQLiteTroubles = []trouble{
	{"read-only", "mount -o remount,ro /srv/shop", "mount -o remount,rw /srv/shop", "read-only"},
	{"no space", "cat /dev/zero >/srv/shop/filler 2>/dev/null; true", "rm /srv/shop/filler", "no space left"},
	{"a writer", heldBy, "systemctl stop writer.service", "another transaction holds its lock"},
}

// ofAnotherOwner: for two seconds after it, shadowsync uses the file as that owner.
var ofAnotherOwner = trouble{"the file of another owner", "chown nobody:nogroup " + shopDatabase, "chown shop:shop " + shopDatabase, "permission denied"}

// tableInSQLite: a table in a file of the application's user's, which that user's programs open meanwhile.
func tableInSQLite(s *stage) {
	held := func(password string) bool {
		hash := s.clerkInShop()
		return hash == s.ShadowHash("clerk") && s.opensHash(hash, password)
	}
	s.sub("recovery", func(s *stage) {
		s.persists("clerk", "Found-in-the-file-1", "shop's")
		if !held("Found-in-the-file-1") || s.inShop("SELECT hash FROM staff WHERE login = 'other'") != "stays" {
			s.t.Errorf("the table holds %s", s.inShop("SELECT * FROM staff"))
		}
		if left := s.inShop("SELECT staff_id FROM token"); left != "2" {
			s.t.Errorf("the sessions of %q are left, want that of the other", left)
		}
		s.Must("systemctl", "restart", "shop.service")
		s.opens("clerk", "Found-in-the-file-1", "While-another-hangs-1")
		if files := s.Must("stat", "-c", "%n %U:%G %a", "/srv/shop", shopDatabase); files != "/srv/shop shop:shop 750\n"+shopDatabase+" shop:shop 644\n" {
			s.t.Errorf("the files are %s", files)
		}
		if left := s.Must("ls", "-A", "/srv/shop"); left != "shop.db\n" {
			s.t.Errorf("beside the database: %s", left)
		}
	})
	s.troublesOf("shop.service", inSQLiteTroubles, "clerk", held)
	s.sub("its own change", func(s *stage) {
		s.inShop("UPDATE staff SET hash = '" + s.hashed("Clicked-in-the-shop-2") + "' WHERE login = 'clerk'")
		s.Must("systemctl", "restart", "shop.service")
		s.opens("clerk", "Clicked-in-the-shop-2", "Trouble-with-it-2")
		s.eventually("it is in sync", time.Minute, func() bool { return s.stateIn("shop", "clerk") == "in-sync" })
	})
	s.troublesOf("shop.service", []trouble{ofAnotherOwner}, "clerk", held)
}
