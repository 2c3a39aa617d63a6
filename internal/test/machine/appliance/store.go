package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// A store is the configuration as read at start, with its users.
type store struct {
	path string
	mu   sync.Mutex
	root document
	list []document // the users, inside root
}

type document = map[string]any

// A user holds the fields of a list entry that matter here.
type user struct {
	name, hash string
	ageing     []string // arguments for chage(1); nil if the store has no ageing fields
}

func load(path string) (*store, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the store: %w", err)
	}
	s := &store{path: path}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber() // keeps unknown numbers exactly
	if err := decoder.Decode(&s.root); err != nil {
		return nil, fmt.Errorf("cannot read the store: %w", err)
	}
	if s.list, err = findUsers(s.root); err != nil {
		return nil, err
	}
	return s, nil
}

var errShape = errors.New("cannot find the users at /datastore/config/authority/router/0/user in the store")

func findUsers(root document) ([]document, error) {
	at := root
	for _, name := range []string{"datastore", "config", "authority"} {
		at, _ = at[name].(document)
	}
	routers, _ := at["router"].([]any)
	if len(routers) == 0 {
		return nil, errShape
	}
	router, _ := routers[0].(document)
	entries, found := router["user"].([]any)
	if !found {
		return nil, errShape
	}
	var users []document
	for _, entry := range entries {
		user, isObject := entry.(document)
		if !isObject {
			return nil, errShape
		}
		users = append(users, user)
	}
	return users, nil
}

func (s *store) users() ([]user, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var users []user
	for _, entry := range s.list {
		name, _ := entry["name"].(string)
		hash, _ := entry["password"].(string)
		users = append(users, user{name: name, hash: hash})
	}
	return users, nil
}

// set makes a change of the user interface, in memory and in the file.
func (s *store) set(name, hash string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, entry := range s.list {
		if entry["name"] == name {
			entry["password"] = hash
			return s.write()
		}
	}
	return fmt.Errorf("cannot find user %s", name)
}

// dump overwrites the file with the users in memory.
func (s *store) dump() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.write()
}

// write replaces the file with one in the appliance's own formatting, owned by the folder's owner.
func (s *store) write() error {
	text, err := json.MarshalIndent(s.root, "", "    ")
	if err != nil {
		return fmt.Errorf("cannot write the store: %w", err)
	}
	temporary := filepath.Join(filepath.Dir(s.path), ".dump.tmp")
	if err := os.WriteFile(temporary, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("cannot write the store: %w", err)
	}
	folder, err := os.Stat(filepath.Dir(s.path))
	if err != nil {
		return fmt.Errorf("cannot write the store: %w", err)
	}
	if owner, known := folder.Sys().(*syscall.Stat_t); known {
		err = os.Chown(temporary, int(owner.Uid), int(owner.Gid))
	}
	if err = errors.Join(err, os.Rename(temporary, s.path)); err != nil {
		return fmt.Errorf("cannot write the store: %w", err)
	}
	return nil
}
