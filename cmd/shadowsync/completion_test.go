package main

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestCompletion: what the shells offer are accounts, units and the values of flags.
func TestCompletion(t *testing.T) {
	s := newSystem(t)
	accounts, sides, units := []string{"admin", "user222"}, []string{"os", "store"}, []string{"128T.service"}
	for _, tc := range []struct {
		line string // "_" is the empty word at its end
		want []string
	}{
		{"user show _", accounts},
		{"user sessions _", accounts},
		{"user logout _", accounts},
		{"user lock admin _", accounts}, // as many as one likes
		{"user unlock _", accounts},
		{"user expire password _", accounts},
		{"user reset password _", accounts},
		{"user set password _", accounts},
		{"user set password admin _", nil}, // no list of files for a password
		{"history _", append([]string{"restore"}, accounts...)},
		{"history restore _", accounts},
		{"audit --user _", accounts},
		{"sync _", accounts},
		{"sync --prefer _", sides},
		{"setup --first _", sides},
		{"setup --store _", []string{"json", "sqlite"}},
		{"user reset password admin --must-change _", []string{"true", "false"}},
		{"guard release _", units},
		{"guard status _", units},
		{"hook _", []string{"pre-start", "post-start", "pre-stop", "post-stop"}},
		{"hook pre-start --unit _", units},
		{"user reset _", []string{"password"}},
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

// What a shell brings for completion, as far as our script needs it; then the script
// completes one line and what it offers is printed.
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
	zshCompletion = `compdef() { :; }
_describe() { local offer; for offer in $completions; do [[ $offer != $lastParam* ]] || print -r -- ${offer%%:*}; done; }
source /dev/stdin
words=("$@") CURRENT=$#
_shadowsync
`
)

// TestCompletionInTheShells loads each script into its shell, and has it complete.
func TestCompletionInTheShells(t *testing.T) {
	s := newSystem(t)
	for shell, harness := range map[string][]string{"bash": {"-c", bashCompletion}, "zsh": {"-f", "-c", zshCompletion}} {
		t.Run(shell, func(t *testing.T) {
			if _, err := exec.LookPath(shell); err != nil {
				t.Skipf("%s is not installed", shell)
			}
			script := s.must(0, "completion", shell).out
			for line, want := range map[string]string{
				"user show a": "admin", "user reset password admin --must-change t": "true", "user exp": "expire", "sync --prefer ": "os\nstore",
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
