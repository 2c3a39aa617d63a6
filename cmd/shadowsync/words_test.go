package main

import (
	"strings"
	"testing"
)

func TestHiddenWords(t *testing.T) {
	for line, want := range map[string]string{
		"user set password admin NEW":                      "user set password * *",
		"--config F user set password admin NEW":           "--config F user set password * *",
		"--config=F user set password --stdin admin NEW":   "--config=F user set password --stdin * *",
		"user set password --fd 3 admin -- -NEW":           "user set password --fd * * * *",
		"user set password admin -NEW":                     "user set password * *",
		"user set password admin --NEW":                    "user set password * *",
		"user set password admin --stdin=NEW":              "user set password * *",
		"user set passwd admin NEW":                        "user set * * *",
		"set password admin NEW":                           "* * * *",
		"NEW":                                              "*",
		"user reset password admin NEW --must-change true": "user reset password * * --must-change *",
		"user lock admin NEW":                              "user lock * *",
		"__complete user set password admin NE":            "* * * * * *",
		"hook pre-start --unit 128T.service":               "hook pre-start --unit 128T.service",
		"sync admin --prefer os":                           "sync admin --prefer os",
		"--root /mnt status":                               "--root /mnt status",
		"worker-proof":                                     "worker-proof",
		"":                                                 "",
	} {
		words := strings.Fields(line)
		hide := hiddenWords(newRoot(newApp(nil, nil, nil)), words)
		for i := range words {
			if hide[i] {
				words[i] = "*"
			}
		}
		// A flag's name is not secret in its place; after an account name it may be hidden too.
		if got := strings.Join(words, " "); got != want {
			t.Errorf("%q shows %q, want %q", line, got, want)
		}
	}
}
