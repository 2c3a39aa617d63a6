package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// hooks measures the start hook as a whole process on a system in a folder that has not changed
// since the last run.
func hooks(ctx context.Context) error {
	heading("start hook, whole process, nothing changed")
	fmt.Printf("%10s %12s %12s %12s\n", "accounts", "hook", "pwck -rq", "plain read")
	for _, n := range []int{10, 10_000, 100_000} {
		if err := hook(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

func hook(ctx context.Context, n int) error {
	root, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(root)
	if err := fabricate(root, n); err != nil {
		return err
	}
	ours := []string{"bin/shadowsync", "--root", root, "hook", "pre-start", "--unit", "app.service"}
	if out, err := exec.CommandContext(ctx, ours[0], "--root", root, "sync", "--prefer", "os").CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	etc := filepath.Join(root, "etc")
	fmt.Printf("%10d", n)
	for _, argv := range [][]string{ours, {"pwck", "-rq", filepath.Join(etc, "passwd"), filepath.Join(etc, "shadow")}, {"cat", filepath.Join(etc, "shadow")}} {
		fmt.Printf(" %12s", median(ctx, argv))
	}
	fmt.Println()
	return nil
}

// tooSlow ends a slow command: pwck compares every line with every other.
const tooSlow = 20 * time.Second

// median runs a command 15 times, after two unmeasured runs.
func median(ctx context.Context, argv []string) string {
	var times []int64
	for i := range 17 {
		bound, cancel := context.WithTimeout(ctx, tooSlow)
		began := time.Now()
		_ = exec.CommandContext(bound, argv[0], argv[1:]...).Run() // pwck's status reports missing homes
		took, late := time.Since(began), bound.Err() != nil
		cancel()
		if late {
			return fmt.Sprintf("> %v", tooSlow)
		}
		if i >= 2 {
			times = append(times, int64(took))
		}
	}
	return time.Duration(quantile(times, 0.5)).Round(10 * time.Microsecond).String()
}

func fabricate(root string, n int) error {
	const hash = "$6$abcdefgh$VdlqHNmVsAzQyLuyPYLSFGzJrkpcj0MyW4Pd9bGsYTTJdNt0kkJeHTfv3lLUPCC5YJnNuqCYjAPTJTkSaBNH5."
	var passwd, shadow, users, accounts bytes.Buffer
	passwd.WriteString("root:x:0:0::/root:/bin/sh\n")
	shadow.WriteString("root:*:20000:0:99999:7:::\n")
	for i := range n {
		comma := ","
		if i == n-1 {
			comma = ""
		}
		fmt.Fprintf(&passwd, "user%d:x:%d:%d::/home/user%d:/bin/sh\n", i, 1000+i, 1000+i, i)
		fmt.Fprintf(&shadow, "user%d:%s:20000:0:99999:7:::\n", i, hash)
		fmt.Fprintf(&users, "  {\"name\": \"user%d\", \"password\": \"%s\"}%s\n", i, hash, comma)
		fmt.Fprintf(&accounts, "\"user%d\"%s", i, comma)
	}
	config := fmt.Sprintf("[[application]]\nname = \"app\"\nunit = \"app.service\"\naccounts = [%s]\n[application.store]\ndriver = \"json\"\npath = \"/var/lib/app/users.json\"\nusers = \"/users\"\nname = \"name\"\npassword = \"password\"\n", accounts.String())
	for path, text := range map[string]string{
		"etc/passwd": passwd.String(), "etc/shadow": shadow.String(), "etc/group": "root:x:0:\n",
		"etc/shadowsync/shadowsync.toml": config, "var/lib/app/users.json": "{\"users\": [\n" + users.String() + "]}\n",
	} {
		full := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(full, []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}
