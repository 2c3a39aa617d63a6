package main

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestCompletion: the shells offer accounts, units and the values of flags.
func TestCompletion(t *testing.T) {
	s := newSystem(t)
	accounts, sides, units := []string{"admin", "user222"}, []string{"os", "store"}, []string{"128T.service"}
	for _, tc := range []struct {
		line string // "_" stands for the empty word at the end
		want []string
	}{
		{"user show _", accounts},
		{"user sessions _", accounts},
		{"user logout _", accounts},
		{"user lock admin _", accounts}, // any number of names
		{"user unlock _", accounts},
		{"user expire password _", accounts},
		{"user reset password _", accounts},
		{"user set password _", accounts},
		{"user set password admin _", nil}, // no files in place of a password
		{"history _", append([]string{"restore"}, accounts...)},
		{"history restore _", accounts},
		{"history restore admin _", nil}, // there is no history yet
		{"audit --user _", accounts},
		{"audit --application _", []string{"conductor"}},
		{"audit --action _", nil}, // there is no trail yet
		{"sync _", accounts},
		{"status _", accounts},
		{"status admin _", accounts},
		{"status --application _", []string{"conductor"}},
		{"status --state _", stateNames()},
		{"user list _", accounts},
		{"user list --application _", []string{"conductor"}},
		{"user list --state _", stateNames()},
		{"sync --prefer _", sides},
		{"setup --first _", sides},
		{"setup --store _", []string{"json", "mysql-user", "passwdfile", "postgres-role", "sql", "sqlite"}},
		{"user reset password admin --must-change _", []string{"true", "false"}},
		{"guard release _", units},
		{"guard status _", units},
		{"hook _", []string{"pre-start", "post-start", "settle", "pre-stop", "post-stop"}},
		{"hook pre-start --unit _", units},
		{"user reset _", []string{"2fa", "password"}},
		{"user reset 2fa _", []string{"local", "ldap"}},
		{"user reset 2fa local _", accounts},
		{"user enrol 2fa _", accounts},
		{"user renew 2fa codes _", accounts},
		{"user set mail _", accounts},
		{"store test _", []string{"conductor"}},
	} {
		words := append([]string{"__complete", "--root", s.root}, strings.Fields(tc.line)...)
		words[len(words)-1] = ""
		var got []string
		for line := range strings.Lines(s.must(0, words...).out) {
			if name, _, _ := strings.Cut(strings.TrimSpace(line), "\t"); !strings.HasPrefix(name, ":") {
				got = append(got, name)
			}
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: offered are %q, want %q", tc.line, got, tc.want)
		}
	}
}

// TestNoFilesOffered: what is no file is not completed as one.
func TestNoFilesOffered(t *testing.T) {
	s := newSystem(t)
	if r := s.must(0, "__complete", "--root", s.root, "store", "test", "--account", ""); !strings.HasPrefix(r.out, ":4\n") {
		t.Errorf("offered is %q", r.out)
	}
}

// TestCompletionOfTheHistory: the entries are offered with what they are.
func TestCompletionOfTheHistory(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	s.must(0, "user", "set", "password", "admin", "secret")
	for name, want := range map[string]string{"admin": "1\tsha256crypt, replaced 2", "user222": ":36\n", "ghost": ":4\n"} {
		if r := s.must(0, "__complete", "--root", s.root, "history", "restore", name, ""); !strings.HasPrefix(r.out, want) {
			t.Errorf("%s: offered is %q, want %q", name, r.out, want)
		}
	}
}

// TestCompletionOfTheTrail: what is in the trail is offered.
func TestCompletionOfTheTrail(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	s.must(0, "user", "set", "password", "admin", "secret")
	for flag, want := range map[string]string{"--action": "adopted\n", "--by": "root\n"} {
		if r := s.must(0, "__complete", "--root", s.root, "audit", flag, ""); !strings.Contains(r.out, want) {
			t.Errorf("%s: offered are %q, want %q among them", flag, r.out, want)
		}
	}
}

// These define the part of a shell's completion that our script needs. The script then completes
// one line and prints what it offers.
const (
	bashCompletion = `_get_comp_words_by_ref() {
	words=("${COMP_WORDS[@]}") cword=$COMP_CWORD cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
}
compopt() { :; }
source /dev/stdin
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_TYPE=9
COMP_POINT=${#COMP_LINE}
__start_shadowsync
printf '%s\n' "${COMPREPLY[@]}"
`
	// bareCompletion is a bash without the package bash-completion, which splits words at = and :
	// as readline does.
	bareCompletion = `compopt() { :; }
source /dev/stdin
COMP_LINE="$*" COMP_TYPE=9
COMP_POINT=${#COMP_LINE}
COMP_WORDS=()
for word in "$@"; do
	rest=$word
	while [[ $rest == *[=:]* ]]; do
		before=${rest%%[=:]*}
		[[ -z $before ]] || COMP_WORDS+=("$before")
		COMP_WORDS+=("${rest:${#before}:1}")
		rest=${rest:${#before}+1}
	done
	[[ -z $rest && -n $word ]] || COMP_WORDS+=("$rest")
done
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
__start_shadowsync
printf '%s\n' "${COMPREPLY[@]}"
`
	zshCompletion = `compdef() { :; }
_describe() { # -P: what is in the word before each offer
	local offer begun=${@[$@[(i)-P]+1]-}
	for offer in $completions; do [[ $begun$offer != $lastParam* ]] || print -r -- ${offer%%:*}; done
}
source /dev/stdin
words=("$@") CURRENT=$#
_shadowsync
`
)

// TestCompletionInTheShells loads each script into its shell and makes it complete.
func TestCompletionInTheShells(t *testing.T) {
	s := newSystem(t)
	for name, harness := range map[string][]string{"bash": {"-c", bashCompletion}, "bash alone": {"-c", bareCompletion}, "zsh": {"-f", "-c", zshCompletion}} {
		t.Run(name, func(t *testing.T) {
			shell, _, _ := strings.Cut(name, " ")
			if _, err := exec.LookPath(shell); err != nil {
				t.Skipf("%s is not installed", shell)
			}
			script := s.must(0, "completion", shell).out
			for line, want := range map[string]string{
				"user show a": "admin", "user reset password admin --must-change t": "true", "user exp": "expire", "sync --prefer ": "os\nstore",
				"sync --prefer=s": "store",
			} {
				words := append([]string{shell, os.Args[0], "--root", s.root}, strings.Split(line, " ")...)
				c := exec.CommandContext(t.Context(), shell, append(harness[:len(harness):len(harness)], words...)...)
				c.Env, c.Stdin = append(os.Environ(), asTool+"=1"), strings.NewReader(script)
				out, err := c.CombinedOutput()
				if got := strings.TrimSpace(string(out)); err != nil || got != want {
					t.Errorf("%q: %v, %q, want %q", line, err, got, want)
				}
			}
		})
	}
}
