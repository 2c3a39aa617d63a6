package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
)

// notify sends a state to the service manager, as sd_notify(3) does.
func notify(state string) error {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	manager, err := net.Dial("unixgram", path) // for net too, a leading @ means the abstract namespace
	if err != nil {
		return fmt.Errorf("cannot notify the service manager: %w", err)
	}
	defer manager.Close()
	if _, err := io.WriteString(manager, state); err != nil {
		return fmt.Errorf("cannot notify the service manager: %w", err)
	}
	return nil
}

// listen answers one line per connection: "set NAME HASH" or "list".
func listen(path string, s userStore) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("cannot open the user interface: %w", err)
	}
	door, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("cannot open the user interface: %w", err)
	}
	go func() {
		for {
			visitor, err := door.Accept()
			if err != nil {
				return
			}
			line, _ := bufio.NewReader(visitor).ReadString('\n')
			_, _ = io.WriteString(visitor, answer(s, strings.Fields(line)))
			_ = visitor.Close()
		}
	}()
	return door, nil
}

func answer(s userStore, words []string) string {
	switch {
	case len(words) == 3 && words[0] == "set":
		if err := s.set(words[1], words[2]); err != nil {
			return "error: " + err.Error() + "\n"
		}
		return "ok\n"
	case len(words) == 1 && words[0] == "list":
		users, err := s.users()
		if err != nil {
			return "error: " + err.Error() + "\n"
		}
		var list strings.Builder
		for _, user := range users {
			fmt.Fprintln(&list, user.name, user.hash)
		}
		return list.String()
	}
	return "error: say set NAME HASH, or list\n"
}

// ask is the client of listen.
func ask(path, line string) error {
	door, err := net.Dial("unix", path)
	if err != nil {
		return fmt.Errorf("cannot reach the appliance: %w", err)
	}
	defer door.Close()
	if _, err := io.WriteString(door, line+"\n"); err != nil {
		return fmt.Errorf("cannot ask the appliance: %w", err)
	}
	answer, err := io.ReadAll(door)
	if err != nil {
		return fmt.Errorf("cannot hear the appliance: %w", err)
	}
	if reason, refused := strings.CutPrefix(string(answer), "error: "); refused {
		return errors.New(strings.TrimSpace(reason))
	}
	_, err = os.Stdout.Write(answer)
	return err
}
