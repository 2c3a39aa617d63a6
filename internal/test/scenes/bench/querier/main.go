// Command querier measures, on the machine under test, a table in PostgreSQL. It prints a line "NAME
// MICROSECONDS" per measurement. Its first argument says of what; the others are the database and a file
// with the password:
//
//	driver     a write with compare-and-swap and the read-back, on an open connection and on a new one, and
//	           the read of ten thousand accounts
//	settle     nothing: it brings the accounts of the OS and the table together
//	reconcile  a reconcile of these ten thousand accounts by the engine, when nothing changed
//
// The engine starts it also as the workers that it needs.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/internal/store/sqltable"
	"github.com/shadowsync/shadowsync/internal/store/storeworker"
	"github.com/shadowsync/shadowsync/internal/wire/worker"
	"github.com/shadowsync/shadowsync/shadowsync"
)

const (
	rounds = 200
	reads  = 30
	crowd  = 10_000
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "querier:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	for _, w := range []worker.Command{storeworker.Command, storeworker.ResolveCommand} {
		if args[0] == w.Name {
			return w.Main(ctx, os.Stdin)
		}
	}
	if args[0] == "driver" {
		return drive(ctx, args[1], args[2])
	}
	e, err := open(ctx, args[1], args[2])
	if err != nil {
		return err
	}
	defer e.Close()
	if args[0] == "settle" {
		return settle(ctx, e)
	}
	return reconcile(ctx, e)
}

func drive(ctx context.Context, dsn, passwordFile string) error {
	secret, err := os.ReadFile(passwordFile)
	if err != nil {
		return err
	}
	return measure(ctx, driver.Options{Driver: "sql", Secret: secret, Keys: map[string]any{
		"dsn": dsn, "table": "crowd", "name": "name", "password": "password",
	}})
}

func names() []string {
	names := make([]string, crowd)
	for i := range names {
		names[i] = fmt.Sprint("user", i)
	}
	return names
}

func measure(ctx context.Context, o driver.Options) error {
	store, err := sqltable.Driver.Open(ctx, o)
	if err != nil {
		return err
	}
	defer store.Close()
	value := 0
	if err := write(ctx, store, "", &value); err != nil { // it connects
		return err
	}
	for range rounds {
		if err := write(ctx, store, "warm", &value); err != nil {
			return err
		}
	}
	for range rounds {
		fresh, err := sqltable.Driver.Open(ctx, o)
		if err == nil {
			err = errors.Join(write(ctx, fresh, "reconnected", &value), fresh.Close())
		}
		if err != nil {
			return err
		}
	}
	all := names()
	for range reads {
		began := time.Now()
		got, err := store.Read(ctx, all)
		if err != nil || len(got.Accounts) != crowd {
			return fmt.Errorf("%d accounts: %w", len(got.Accounts), err)
		}
		fmt.Println("read", time.Since(began).Microseconds())
	}
	return nil
}

// write moves user0 from one value to the next, reads it back, and says how long that took.
func write(ctx context.Context, store shadowsync.CredentialStore, name string, value *int) error {
	began := time.Now()
	credential := func(n int) shadowsync.Credential { return shadowsync.Credential{Hash: fmt.Sprint("$6$", n)} }
	left, err := store.Write(ctx, []shadowsync.Write{{Name: "user0", Expect: credential(*value), Want: credential(*value + 1)}})
	if err != nil || len(left) > 0 {
		return fmt.Errorf("left %v: %w", left, err)
	}
	*value++
	got, err := store.Read(ctx, []string{"user0"})
	if err != nil || got.Accounts["user0"].Credential != credential(*value) {
		return fmt.Errorf("read back %+v: %w", got, err)
	}
	if name != "" {
		fmt.Println(name, time.Since(began).Microseconds())
	}
	return nil
}
