package directory

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/shadowsync/shadowsync/internal/account/shadowfile"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// look asks each directory in turn.
func look(ctx context.Context, q Query) (p Person, err error) {
	key := q.Name
	if key == "" {
		key = strconv.Itoa(q.UID)
	}
	for _, service := range Services(Accounts) {
		lines, err := getent(ctx, "--service="+service, "passwd", "--", key)
		if err != nil {
			return p, err
		}
		for _, line := range lines {
			person, ok := shadowfile.ParsePerson(line)
			if ok && (q.Name == person.Name || q.Name == "" && q.UID == person.UID) { // a directory may find other spellings, too
				return grouped(ctx, Person{Person: person, Service: service})
			}
		}
	}
	return p, shadowsync.ErrNoAccount
}

// known returns which of the names a directory has.
func known(ctx context.Context, names []string) (map[string]string, error) {
	found := map[string]string{}
	for _, service := range Services(Accounts) {
		lines, err := getent(ctx, append([]string{"--service=" + service, "passwd", "--"}, names...)...)
		if err != nil {
			return nil, err
		}
		for _, line := range lines {
			if p, ok := shadowfile.ParsePerson(line); ok && found[p.Name] == "" && slices.Contains(names, p.Name) {
				found[p.Name] = service
			}
		}
	}
	return found, nil
}

// grouped adds the groups. A name counts only if it stands for that gid on this system: a group of the
// directory is not taken for a local one of the same name.
func grouped(ctx context.Context, p Person) (Person, error) {
	out, err := run(ctx, "id", "-G", "--", p.Name)
	if err != nil {
		return p, err
	}
	gids := append(strings.Fields(out), strconv.Itoa(p.GID))
	slices.Sort(gids)
	named, err := groups(ctx, slices.Compact(gids)...)
	if err != nil {
		return p, err
	}
	names := make([]string, 0, len(named))
	for _, g := range named {
		names = append(names, g.name)
	}
	meant, err := groups(ctx, names...)
	if err != nil {
		return p, err
	}
	p.GIDs = map[string]int{}
	for _, g := range named {
		if slices.Contains(meant, g) && !slices.Contains(p.Groups, g.name) {
			p.Groups = append(p.Groups, g.name)
			p.GIDs[g.name] = g.gid
		}
	}
	return p, nil
}

type group struct {
	name string
	gid  int
}

// groups asks for groups by their names or gids.
func groups(ctx context.Context, keys ...string) (found []group, err error) {
	if len(keys) == 0 {
		return nil, nil
	}
	lines, err := getent(ctx, append([]string{"group", "--"}, keys...)...)
	for _, line := range lines {
		fields := strings.Split(line, ":")
		if len(fields) < 3 {
			continue
		}
		if gid, err := strconv.Atoi(fields[2]); err == nil {
			found = append(found, group{fields[0], gid})
		}
	}
	return found, err
}

// getent returns the lines that are found. That some are not is no error. Status 2 says that none is found, and also that
// a service does not answer: nslcd(8) drops a client that is not served within half a second, as on a busy machine. So
// nothing found is asked for once more.
func getent(ctx context.Context, args ...string) (lines []string, err error) {
	for range 2 {
		var out string
		out, err = run(ctx, "getent", args...)
		var ended *exec.ExitError
		if errors.As(err, &ended) && ended.ExitCode() == 2 {
			err = nil
		}
		if lines = strings.Split(strings.TrimSuffix(out, "\n"), "\n"); out != "" || err != nil {
			break
		}
	}
	return lines, err
}

func run(ctx context.Context, program string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, programs+program, args...)
	command.Env, command.Dir = []string{"LC_ALL=C"}, "/"
	out, err := command.Output()
	if err != nil {
		err = fmt.Errorf("%s: %w", program, err)
	}
	return string(out), err
}
