package sqltable

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/store/sqldb"
	"github.com/shadowsync/shadowsync/internal/store/sqldb/sqltest"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// writeOne changes alice's value.
func writeOne(ctx context.Context, s *Store, from, to string) error {
	left, err := s.Write(ctx, []shadowsync.Write{{Name: "alice", Expect: credential(from), Want: credential(to)}})
	return errors.Join(err, left["alice"])
}

// onServers runs a test with a row for alice in each kind of server that the machine has.
func onServers(t *testing.T, do func(t *testing.T, server *sqltest.Server, p *place)) {
	everywhere(t, "auth_user", "username", "password", func(t *testing.T, p *place) {
		server := map[sqldb.Dialect]func(testing.TB) *sqltest.Server{sqldb.PostgreSQL: sqltest.PostgreSQL, sqldb.MySQL: sqltest.MariaDB}[p.dialect]
		if server == nil {
			t.Skip("SQLite is no server")
		}
		p.insert(t, "alice", "$6$a")
		do(t, server(t), p)
	})
}

// TestRestart: the connection of before the server's restart fails no write, however long ago it was used.
func TestRestart(t *testing.T) {
	onServers(t, func(t *testing.T, server *sqltest.Server, p *place) {
		s := p.open(t)
		if err := writeOne(t.Context(), s, "$6$a", "$6$b"); err != nil {
			t.Fatal(err)
		}
		server.Restart(t)
		if err := writeOne(t.Context(), s, "$6$b", "$6$c"); err != nil {
			t.Error(err)
		}
		server.Restart(t)
		if got, err := s.Read(t.Context(), []string{"alice"}); err != nil || got.Accounts["alice"].Hash != "$6$c" {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

func TestServerStoppedAndHung(t *testing.T) {
	onServers(t, func(t *testing.T, server *sqltest.Server, p *place) {
		s := p.open(t)
		if err := writeOne(t.Context(), s, "$6$a", "$6$b"); err != nil {
			t.Fatal(err)
		}
		within := 300 * time.Millisecond
		try := func(what, says string) {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), within)
			defer cancel()
			begun := time.Now()
			err := writeOne(ctx, s, "$6$b", "$6$c")
			if took := time.Since(begun); took > 2*within || !errors.Is(err, shadowsync.ErrUnavailable) || !strings.Contains(fmt.Sprint(err), says) {
				t.Errorf("%s: %v after %v", what, err, took)
			}
		}
		t.Run("hung", func(t *testing.T) {
			server.Hang(t)
			try("the open connection", "no answer in time")
			try("a new connection", "no answer in time")
		})
		server.Stop()
		try("stopped", "connection refused")
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
		if err := writeOne(t.Context(), s, "$6$b", "$6$c"); err != nil {
			t.Errorf("once it is back: %v", err)
		}
	})
}

// TestLockedRow: another transaction holds the row.
func TestLockedRow(t *testing.T) {
	everywhere(t, "auth_user", "username", "password", func(t *testing.T, p *place) {
		p.insert(t, "alice", "$6$a")
		s := p.open(t)
		other, err := p.admin.Begin()
		if err == nil {
			_, err = other.Exec("UPDATE auth_user SET password = '$6$theirs' WHERE username = 'alice'")
		}
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		err = writeOne(ctx, s, "$6$a", "$6$b")
		if took := time.Since(begun); took > 2*time.Second || !errors.Is(err, shadowsync.ErrUnavailable) {
			t.Errorf("%v after %v", err, took)
		}
		// A number of the kernel's would be told instead, by its words.
		if p.dialect == sqldb.SQLite && (err.Error() != "another transaction holds its lock" || errors.As(err, new(unix.Errno))) {
			t.Errorf("it says %v", err)
		}
		if err := other.Commit(); err != nil {
			t.Fatal(err)
		}
		if err := writeOne(t.Context(), s, "$6$a", "$6$b"); !errors.Is(err, shadowsync.ErrChanged) {
			t.Errorf("the other's value is overwritten: %v", err)
		}
	})
}

// TestServerExplains: what a person must know to mend it.
func TestServerExplains(t *testing.T) {
	onServers(t, func(t *testing.T, server *sqltest.Server, p *place) {
		wrong := *p
		wrong.options.Secret = []byte("wrong")
		readOnly := map[sqldb.Dialect][2]string{
			sqldb.PostgreSQL: {"ALTER ROLE shadowsync SET default_transaction_read_only = on", "ALTER ROLE shadowsync RESET default_transaction_read_only"},
			sqldb.MySQL:      {"SET GLOBAL read_only = 1", "SET GLOBAL read_only = 0"},
		}[p.dialect]
		missingTable, missingColumn := shadowsync.ErrMalformed, shadowsync.ErrMalformed
		if p.dialect == sqldb.MySQL { // which does not tell whether there is one without a right to it; MariaDB 11, nor a column
			missingTable, missingColumn = shadowsync.ErrUnavailable, nil
		}
		who := map[sqldb.Dialect]string{sqldb.PostgreSQL: "shadowsync", sqldb.MySQL: "shadowsync@'127.0.0.1'"}[p.dialect]
		for _, tt := range []struct {
			name       string
			place      *place
			spoil      string
			mend       string
			kind       error
			says       string
			whileReads bool
		}{
			{"a wrong password", &wrong, "", "", shadowsync.ErrUnavailable, "refuses the login of shadowsync", false},
			{"no such database", p.with(map[string]any{"dsn": strings.TrimSuffix(server.DSN, "app") + "gone"}), "", "", nil, "", false},
			{"no such table", p.with(map[string]any{"table": "gone"}), "", "", missingTable, "gone", false},
			{"no such column", p.with(map[string]any{"password": "gone"}), "", "", missingColumn, "gone", false},
			{"no right to write", p, "REVOKE UPDATE (password) ON auth_user FROM " + who, "GRANT UPDATE (password) ON auth_user TO " + who, shadowsync.ErrUnavailable, "no right", true},
			{"read-only", p, readOnly[0], readOnly[1], shadowsync.ErrUnavailable, "read-only", true},
		} {
			t.Run(tt.name, func(t *testing.T) {
				if tt.spoil != "" {
					p.exec(t, tt.spoil)
					t.Cleanup(func() { p.exec(t, tt.mend) })
				}
				s := tt.place.open(t)
				_, err := s.Read(t.Context(), []string{"alice"})
				if tt.whileReads {
					if err != nil {
						t.Errorf("reading: %v", err)
					}
					if err := s.Rehearse(t.Context()); err == nil {
						t.Error("a rehearsal succeeds")
					}
					err = writeOne(t.Context(), s, "$6$a", "$6$b")
				}
				if err == nil || tt.kind != nil && !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "wrong") {
					t.Errorf("%v", err)
				}
			})
		}
	})
}

// TestManyInOneRoundTrip counts the statements in the server's own log.
func TestManyInOneRoundTrip(t *testing.T) {
	everywhere(t, "auth_user", "username", "password", func(t *testing.T, p *place) {
		if p.dialect != sqldb.PostgreSQL {
			t.Skip("only this log has every message")
		}
		const n = 10_000
		p.exec(t, "INSERT INTO auth_user SELECT 'user' || i, '$6$' || i FROM generate_series(1, 10000) AS i")
		names := make([]string, n)
		for i := range names {
			names[i] = fmt.Sprint("user", i+1)
		}
		s := p.open(t)
		log := sqltest.PostgreSQL(t).Log()
		if _, err := s.Read(t.Context(), names[:1]); err != nil { // it connects
			t.Fatal(err)
		}
		before, err := os.Stat(log)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Read(t.Context(), names)
		if err != nil || len(got.Accounts) != n || got.Accounts["user10000"].Hash != "$6$10000" {
			t.Fatal(len(got.Accounts), err)
		}
		p.exec(t, "SELECT 'the log is written up to here'")
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		statements := 0
		for line := range strings.Lines(string(text[before.Size():])) {
			if strings.Contains(line, "LOG:  execute") || strings.Contains(line, "LOG:  statement:") {
				statements++
			}
		}
		if statements != 2 { // the last one is the test's
			t.Errorf("%d statements:\n%.2000s", statements, text[before.Size():])
		}
	})
}

func BenchmarkRead10000(b *testing.B) {
	server := sqltest.PostgreSQL(b)
	server.Exec(b, "CREATE TABLE many AS SELECT 'user' || i AS username, '$6$' || i AS password FROM generate_series(1, 10000) AS i", "GRANT SELECT, UPDATE ON many TO shadowsync")
	b.Cleanup(func() { server.Exec(b, "DROP TABLE many") })
	p := &place{}
	p.options.Secret, p.options.Keys = []byte(sqltest.Secret), map[string]any{"dsn": server.DSN, "table": "many", "name": "username", "password": "password"}
	s := p.open(b)
	names := make([]string, 10_000)
	for i := range names {
		names[i] = fmt.Sprint("user", i+1)
	}
	for b.Loop() {
		if got, err := s.Read(b.Context(), names); err != nil || len(got.Accounts) != len(names) {
			b.Fatal(err)
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	server := sqltest.PostgreSQL(b)
	server.Exec(b, "CREATE TABLE one (username varchar(150) PRIMARY KEY, password varchar(128))", "INSERT INTO one VALUES ('alice', '$6$0')", "GRANT SELECT, UPDATE ON one TO shadowsync")
	b.Cleanup(func() { server.Exec(b, "DROP TABLE one") })
	p := &place{}
	p.options.Secret, p.options.Keys = []byte(sqltest.Secret), map[string]any{"dsn": server.DSN, "table": "one", "name": "username", "password": "password"}
	s := p.open(b)
	round := 0
	for b.Loop() {
		if err := writeOne(b.Context(), s, fmt.Sprint("$6$", round), fmt.Sprint("$6$", round+1)); err != nil {
			b.Fatal(err)
		}
		if _, err := s.Read(b.Context(), []string{"alice"}); err != nil {
			b.Fatal(err)
		}
		round++
	}
}

// TestAReadThatFails: what a server says about a value of its own is a fault of the store, and refuses none of
// ours. A refusal of the whole would count as a lie of the worker, which is then ended.
func TestAReadThatFails(t *testing.T) {
	onServers(t, func(t *testing.T, _ *sqltest.Server, p *place) {
		if p.dialect != sqldb.PostgreSQL {
			t.Skip("it divides by zero")
		}
		s := p.with(map[string]any{
			"table": nil, "name": nil, "password": nil, "read": "SELECT username, password FROM auth_user WHERE username IN (:names) AND 1 / length(substr(username, 1, 0)) = 1",
			"update": "UPDATE auth_user SET password = :password WHERE username = :name AND password = :old_password",
		}).open(t)
		_, err := s.Read(t.Context(), []string{"alice"})
		if !errors.Is(err, shadowsync.ErrUnavailable) || !strings.Contains(err.Error(), "22012") {
			t.Errorf("%v", err)
		}
	})
}

// refusing are statements that make the database refuse each change of alice's row.
var refusing = map[sqldb.Dialect][]string{
	sqldb.PostgreSQL: {
		"CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.username = 'alice' THEN RAISE EXCEPTION 'not %', NEW.password; END IF; RETURN NEW; END $$",
		"CREATE TRIGGER refuses BEFORE UPDATE ON auth_user FOR EACH ROW EXECUTE FUNCTION refuse()",
	},
	sqldb.MySQL: {
		"CREATE TRIGGER refuses BEFORE UPDATE ON auth_user FOR EACH ROW IF NEW.username = 'alice' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no'; END IF",
	},
	sqldb.SQLite: {"CREATE TRIGGER refuses BEFORE UPDATE ON auth_user WHEN NEW.username = 'alice' BEGIN SELECT RAISE(ABORT, 'no'); END"},
}

// both changes the values of alice and bob.
func both(t *testing.T, s *Store) (shadowsync.Unwritten, error) {
	t.Helper()
	return s.Write(t.Context(), []shadowsync.Write{
		{Name: "alice", Expect: credential("$6$a"), Want: credential("$6$a2")},
		{Name: "bob", Expect: credential("$6$b"), Want: credential("$6$b2")},
	})
}

// TestATriggerRefusesOne: what the application's own trigger says about one row keeps no other one back.
func TestATriggerRefusesOne(t *testing.T) {
	everywhere(t, "auth_user", "username", "password", func(t *testing.T, p *place) {
		p.insert(t, "alice", "$6$a")
		p.insert(t, "bob", "$6$b")
		p.exec(t, refusing[p.dialect]...)
		s := p.open(t)
		left, err := both(t, s)
		if refused := (*shadowsync.RefusedError)(nil); err != nil || len(left) != 1 || !errors.As(left["alice"], &refused) || strings.Contains(fmt.Sprint(left), "$6$") {
			t.Errorf("left %v, %v", left, err)
		}
		if got, err := s.Read(t.Context(), []string{"alice", "bob"}); err != nil || got.Accounts["alice"].Hash != "$6$a" || got.Accounts["bob"].Hash != "$6$b2" {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

// TestRowLevelSecurity: rows that the server does not let us change, whether it says so or hides them.
func TestRowLevelSecurity(t *testing.T) {
	for name, policy := range map[string]string{"said": "USING (true) WITH CHECK (username <> 'alice')", "hidden": "USING (username <> 'alice')"} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, "auth_user", "username", "password", func(t *testing.T, p *place) {
				if p.dialect != sqldb.PostgreSQL {
					t.Skip("it has none")
				}
				p.insert(t, "alice", "$6$a")
				p.insert(t, "bob", "$6$b")
				p.exec(t, "ALTER TABLE auth_user ENABLE ROW LEVEL SECURITY", "CREATE POLICY reads ON auth_user FOR SELECT USING (true)", "CREATE POLICY writes ON auth_user FOR UPDATE "+policy)
				s := p.open(t)
				left, err := both(t, s)
				if err != nil || len(left) != 1 || !errors.Is(left["alice"], shadowsync.ErrMalformed) {
					t.Errorf("left %v, %v", left, err)
				}
				if got, err := s.Read(t.Context(), []string{"bob"}); err != nil || got.Accounts["bob"].Hash != "$6$b2" {
					t.Errorf("%+v, %v", got, err)
				}
				if err := writeOne(t.Context(), s, "$6$a", "$6$a2"); name == "said" && !errors.Is(err, shadowsync.ErrUnavailable) {
					t.Errorf("alone: %v", err) // the right can be given
				}
			})
		})
	}
}

// TestManyBarredRows: once a row could be changed, those that could not are no fault of the whole store, and the
// accounts behind them get their turn.
func TestManyBarredRows(t *testing.T) {
	everywhere(t, "auth_user", "username", "password", func(t *testing.T, p *place) {
		if p.dialect != sqldb.PostgreSQL {
			t.Skip("it has no policies for rows")
		}
		p.exec(t, "ALTER TABLE auth_user ENABLE ROW LEVEL SECURITY", "CREATE POLICY reads ON auth_user FOR SELECT USING (true)",
			"CREATE POLICY writes ON auth_user FOR UPDATE USING (true) WITH CHECK (username IN ('first', 'last'))")
		var writes []shadowsync.Write
		add := func(name string) {
			p.insert(t, name, "$6$a")
			writes = append(writes, shadowsync.Write{Name: name, Expect: credential("$6$a"), Want: credential("$6$b")})
		}
		add("first")
		for i := range mostBarred {
			add(fmt.Sprintf("barred%d", i))
		}
		add("last")
		left, err := p.open(t).Write(t.Context(), writes)
		if err != nil || len(left) != mostBarred || left["first"] != nil || left["last"] != nil {
			t.Errorf("left %v, %v", left, err)
		}
	})
}

// TestUpdateFindsNoRow: a statement of the application's own that does not find what its read shows would
// be tried without end, and nobody would know why. A row that changed meanwhile is none.
func TestUpdateFindsNoRow(t *testing.T) {
	everywhere(t, "auth_user", "username", "password", func(t *testing.T, p *place) {
		p.exec(t, "INSERT INTO auth_user (username) VALUES ('alice')") // NULL equals nothing
		s := p.with(map[string]any{
			"table": nil, "name": nil, "password": nil, "read": "SELECT username, password FROM auth_user WHERE username IN (:names)",
			"update": "UPDATE auth_user SET password = :password WHERE username = :name AND password = :old_password",
		}).open(t)
		if err := writeOne(t.Context(), s, "", "$6$new"); !errors.Is(err, shadowsync.ErrMalformed) || !strings.Contains(fmt.Sprint(err), "update changes no row") {
			t.Errorf("%v", err)
		}
		if err := writeOne(t.Context(), s, "$6$other", "$6$new"); !errors.Is(err, shadowsync.ErrChanged) {
			t.Errorf("another value: %v", err)
		}
	})
}

// TestRehearsalTouchesNobody: where the server rolls nothing back, a rehearsal that deletes a session has
// deleted it. Sessions of visitors who are not logged in often have no name.
func TestRehearsalTouchesNobody(t *testing.T) {
	everywhere(t, "auth_user", "username", "password", func(t *testing.T, p *place) {
		if p.dialect != sqldb.MySQL {
			t.Skip("every table has transactions")
		}
		p.exec(t, "ALTER TABLE auth_user ENGINE = MyISAM", "DROP TABLE IF EXISTS sess", "CREATE TABLE sess (who VARCHAR(128)) ENGINE = MyISAM", "INSERT INTO sess VALUES (''), ('alice')")
		p.insert(t, "", "")
		p.grant(t, "SELECT, DELETE", "sess")
		if err := p.with(map[string]any{"sessions": "sess", "sessions_account": "who"}).open(t).Rehearse(t.Context()); err != nil {
			t.Error(err)
		}
		var n int
		if err := p.admin.QueryRow("SELECT count(*) FROM sess").Scan(&n); err != nil || n != 2 {
			t.Errorf("%d sessions, %v", n, err)
		}
	})
}

// TestLooseServer: a server that would cut a long value off is told not to, whatever its settings.
func TestLooseServer(t *testing.T) {
	everywhere(t, "auth_user", "username", "password", func(t *testing.T, p *place) {
		if p.dialect != sqldb.MySQL {
			t.Skip("the others never do")
		}
		var before string
		if err := p.admin.QueryRow("SELECT @@GLOBAL.sql_mode").Scan(&before); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.exec(t, "SET GLOBAL sql_mode = '"+before+"'") })
		p.insert(t, "alice", "$6$a")
		for _, mode := range []string{"", "ANSI_QUOTES,NO_BACKSLASH_ESCAPES", "PAD_CHAR_TO_FULL_LENGTH", "ORACLE"} {
			p.exec(t, "SET GLOBAL sql_mode = '"+mode+"'")
			s := p.open(t)
			refused := (*shadowsync.RefusedError)(nil)
			if err := writeOne(t.Context(), s, "$6$a", "$6$"+strings.Repeat("x", 126)); !errors.As(err, &refused) {
				t.Errorf("%q: %v", mode, err)
			}
			if err := writeOne(t.Context(), s, "$6$a", "$6$a"); err != nil {
				t.Errorf("%q: %v", mode, err)
			}
		}
	})
}
