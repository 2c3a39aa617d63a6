package main

import (
	"bytes"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// cobra's script for bash needs a function of the package bash-completion, which minimal systems
// lack. Ours uses it where it is there and has one of its own where it is not.

const (
	fromPackage = `    _get_comp_words_by_ref "$@" cur prev words cword
`
	withoutPackage = `    if declare -F _get_comp_words_by_ref >/dev/null 2>&1; then
        _get_comp_words_by_ref "$@" cur prev words cword
    else
        __shadowsync_words
    fi
`
	// wordsOfLine sets what that function would. bash also splits words at = and : (its
	// COMP_WORDBREAKS), where our words go on.
	wordsOfLine = `# The words of the line up to the cursor, on systems without the package bash-completion.
__shadowsync_words()
{
    local line="${COMP_LINE:0:COMP_POINT}" part apart joins="" i
    words=()
    for ((i = 0; i <= COMP_CWORD; i++)); do
        part="${COMP_WORDS[i]}"
        apart="${line%%[^[:space:]]*}"
        line="${line:${#apart}}"
        if ((i > 0)) && [[ -z $apart ]] && [[ -n $joins || $part == [=:]* ]]; then
            words[${#words[@]}-1]+="${line:0:${#part}}"
        else
            words+=("${line:0:${#part}}")
        fi
        line="${line:${#part}}"
        joins=""
        [[ $part != *[=:] ]] || joins=yes
    done
    cword=$((${#words[@]} - 1))
    cur="${words[cword]}" prev="${words[cword-1]}"
}

`
)

// completeWithoutPackage changes the command that prints the script for bash.
func completeWithoutPackage(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	c, _, err := root.Find([]string{"completion", "bash"})
	if err != nil || c.Name() != "bash" {
		return // cobra has no such command any more; the test of completion says so
	}
	c.Long = "Print the script that completes shadowsync's commands, accounts and units in bash. make install\n" +
		"installs it for the package bash-completion. Without that package, put this into ~/.bashrc:\n\n" +
		"  source <(shadowsync completion bash)"
	c.RunE = func(c *cobra.Command, _ []string) error {
		plain, err := c.Flags().GetBool("no-descriptions")
		if err != nil {
			return err
		}
		var script bytes.Buffer
		if err := c.Root().GenBashCompletionV2(&script, !plain); err != nil {
			return err
		}
		_, err = io.WriteString(c.OutOrStdout(), wordsOfLine+strings.Replace(script.String(), fromPackage, withoutPackage, 1))
		return err
	}
}
