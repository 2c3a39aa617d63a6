package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"
)

// A database is shadowsync's embedded store, read through sqlite3(1) and the documented schema by
// an application without its own user database. It keeps nothing in memory and so has nothing to
// dump.
type database struct{ path string }

// A row has the columns that the documentation of the table "credential" promises.
type row struct {
	Name       string `json:"name"`
	Password   string `json:"password"`
	LastChange *int   `json:"last_change"`
	MustChange int    `json:"must_change"`
	Min        *int   `json:"min_days"`
	Max        *int   `json:"max_days"`
	Warn       *int   `json:"warn_days"`
	Inactive   *int   `json:"inactive_days"`
	Expire     *int   `json:"expire_day"`
}

// users is empty while the database does not exist: setup creates it.
func (d database) users() ([]user, error) {
	if _, err := os.Stat(d.path); errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	text, err := d.query("?mode=ro", `SELECT name, password, last_change, must_change, min_days, max_days,
		warn_days, inactive_days, expire_day FROM credential ORDER BY name`)
	if err != nil {
		return nil, err
	}
	var rows []row
	if len(text) == 0 { // sqlite3 prints nothing if there is no row
		return nil, nil
	}
	if err := json.Unmarshal(text, &rows); err != nil {
		return nil, fmt.Errorf("cannot read the store: %w", err)
	}
	users := make([]user, len(rows))
	for i, r := range rows {
		users[i] = user{name: r.Name, hash: r.Password, ageing: r.ageing()}
	}
	return users, nil
}

// ageing is the row as arguments of chage(1), where -1 means an empty field.
func (r row) ageing() []string {
	last := r.LastChange
	if r.MustChange == 1 {
		last = new(int)
	}
	var arguments []string
	for _, field := range []struct {
		option string
		days   *int
	}{{"-d", last}, {"-m", r.Min}, {"-M", r.Max}, {"-W", r.Warn}, {"-I", r.Inactive}, {"-E", r.Expire}} {
		days := "-1"
		if field.days != nil {
			days = strconv.Itoa(*field.days)
		}
		arguments = append(arguments, field.option, days)
	}
	return arguments
}

// set makes a change of the user interface. It runs as root, so it may write.
func (d database) set(name, hash string) error {
	text, err := d.query("?mode=rw", fmt.Sprintf(`UPDATE credential SET password = %s, last_change = %d, must_change = 0
		WHERE name = %s RETURNING name`, literal(hash), time.Now().Unix()/86400, literal(name)))
	if err == nil && len(text) == 0 {
		err = fmt.Errorf("cannot find user %s", name)
	}
	return err
}

func (d database) dump() error { return nil }

// literal encodes any text as SQL.
func literal(text string) string { return "CAST(x'" + hex.EncodeToString([]byte(text)) + "' AS TEXT)" }

func (d database) query(mode, sql string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	command := exec.CommandContext(ctx, "sqlite3", "-bail", "-json", "-cmd", ".timeout 2000", "file:"+d.path+mode, sql)
	var complaint bytes.Buffer
	command.Stderr = &complaint
	text, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("cannot ask the store: %w: %s", err, bytes.TrimSpace(complaint.Bytes()))
	}
	return text, nil
}
