package base

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// errNoMirror means that this host's apt has no Debian archive.
var errNoMirror = errors.New("apt on this host has no Debian archive configured; name one in SHADOWSYNC_MACHINE_MIRROR")

// mirror returns the address of the Debian archive that this host's own apt uses, so that a machine
// can be built wherever packages can be installed.
func mirror(ctx context.Context) (string, error) {
	if address := os.Getenv("SHADOWSYNC_MACHINE_MIRROR"); address != "" {
		return address, nil
	}
	format := "$(REPO_URI)|$(ORIGIN)|$(LABEL)|$(RELEASE)|$(COMPONENT)"
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", format, "Created-By: Packages").Output()
	if err != nil {
		return "", fmt.Errorf("cannot ask apt for its archives: %w", err)
	}
	if address := pickMirror(string(out)); address != "" {
		return address, nil
	}
	return "", errNoMirror
}

// pickMirror prefers an archive whose origin and label are Debian. apt knows these only after an
// apt-get update; without them, the plain release name with the component main identifies the
// archive among its -updates and -security siblings.
func pickMirror(targets string) string {
	guess := ""
	for line := range strings.Lines(targets) {
		field := strings.Split(strings.TrimSpace(line), "|")
		if len(field) != 5 || field[4] != "main" {
			continue
		}
		if field[1] == "Debian" && field[2] == "Debian" {
			return field[0]
		}
		if field[1] == "" && guess == "" && debianNames[field[3]] {
			guess = field[0]
		}
	}
	return guess
}

var debianNames = map[string]bool{
	string(Bookworm): true, string(Trixie): true, "bullseye": true, "forky": true, "sid": true,
	"oldstable": true, "stable": true, "testing": true, "unstable": true,
}

// proxyEnvironment passes apt's proxy to debootstrap, which downloads with wget and does not read
// apt's configuration.
func proxyEnvironment(ctx context.Context) []string {
	environment := os.Environ()
	for _, scheme := range []string{"http", "https"} {
		out, err := exec.CommandContext(ctx, "apt-config", "shell", "proxy", "Acquire::"+scheme+"::Proxy").Output()
		value := strings.Trim(strings.TrimPrefix(strings.TrimSpace(string(out)), "proxy="), "'")
		if err == nil && value != "" {
			environment = append(environment, scheme+"_proxy="+value)
		}
	}
	return environment
}
