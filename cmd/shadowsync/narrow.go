package main

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"golang.org/x/term"

	"github.com/shadowsync/shadowsync/internal/term/pager"
	"github.com/shadowsync/shadowsync/internal/term/printable"
	"github.com/shadowsync/shadowsync/internal/term/table"
)

// columnsOf returns the number of columns of the terminal that w writes to; 0 if it is not one.
func columnsOf(w io.Writer) int {
	f, ok := w.(*os.File)
	if p, paged := w.(*pager.Pager); paged {
		f, ok = p.Terminal(), true
	}
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width < 1 {
		return 80 // a serial line does not report its size
	}
	return width
}

// width returns the number of columns of the terminal; 0 if the output is not a terminal.
func (a *app) width() int { return columnsOf(a.out) }

// tell prints a line for people, wrapped at words on a narrow terminal.
func (a *app) tell(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	indent := line[:len(line)-len(strings.TrimLeft(line, " "))]
	if !a.quiet {
		fmt.Fprintln(a.out, wrapped(printable.Quote(line), a.width(), indent+"  "))
	}
}

// complaint prints a line on standard error, also with --quiet.
func (a *app) complaint(format string, args ...any) {
	fmt.Fprintln(a.err, wrapped("shadowsync: "+oneLine(fmt.Sprintf(format, args...)), columnsOf(a.err), "  "))
}

// hint prints the command to run next.
func (a *app) hint(text string) {
	fmt.Fprintln(a.err, wrapped("hint: "+printable.Quote(text), columnsOf(a.err), "  "))
}

// copied finds the commands in a message that people copy: at its begin, after a colon, in
// parentheses; doctor's are whatever follows its words.
var copied = regexp.MustCompile(`fix it with: .*|(?:^ *|: |\()(?:shadowsync|pcli|systemctl|journalctl|vipw|chsh|chmod|chown|cat|cp|df|editor|findmnt|ls|rm|sed) [^,;()]*[^,;() ]`)

// joint stands for a blank within a command. It is of the private use area, which no text for
// people contains: printable escapes it.
const joint = "\ue000"

// wrapped breaks a line between words, but never within a command: a terminal itself breaks a
// command that is wider than it, and that can still be copied.
func wrapped(line string, width int, more string) string {
	if width == 0 {
		return line
	}
	line = copied.ReplaceAllStringFunc(line, func(found string) string {
		head, command := "", found
		if i := strings.Index(found, ": "); i >= 0 {
			head, command = found[:i+2], found[i+2:]
		}
		indent := command[:len(command)-len(strings.TrimLeft(command, " "))]
		return head + indent + strings.ReplaceAll(command[len(indent):], " ", joint)
	})
	return strings.ReplaceAll(table.Wrap(line, width, more), joint, " ")
}

// leastText is how many columns a text beside a label needs; on a narrower terminal it continues
// below the label.
const leastText = 30

// hanging is the indentation of a text's further lines, beside a label that is as wide as label.
func hanging(label, width int) string {
	if width-label < leastText {
		label = 4
	}
	return strings.Repeat(" ", label)
}

// narrowed fits a help page into the terminal. It joins the lines of a paragraph, or of what
// explains a name, before it breaks them. An example stays whole.
func narrowed(help string, width int) string {
	var out []string
	var paragraph string // the lines that belong together, so far
	end := func() {
		if paragraph != "" {
			out = append(out, entry(paragraph, width))
		}
		paragraph = ""
	}
	usage := false
	for line := range strings.Lines(help) {
		line = strings.TrimSuffix(line, "\n")
		text := strings.TrimLeft(line, " ")
		indent := len(line) - len(text)
		switch {
		case text == "", line[0] == '\t':
			end()
			usage = false
			out = append(out, line)
		case indent == 0 && paragraph != "", indent > mostIndent:
			paragraph += " " + text
		case usage:
			end()
			out = append(out, table.Wrap(line, width, "      "))
		default:
			end()
			paragraph, usage = line, line == "Usage:"
		}
	}
	end()
	return strings.Join(out, "\n") + "\n"
}

// mostIndent is the indentation of a name; what is further in continues its explanation.
const mostIndent = 8

// explained finds the label of a line of a help page: a name, or a flag with its value.
var explained = regexp.MustCompile(`^ +(\S+(?: \S+)*) {2,}|^  \d+ +`)

// entry breaks a paragraph of a help page. If there is no room beside a label, the text continues
// below it.
func entry(line string, width int) string {
	label := explained.FindString(line)
	indent := len(line) - len(strings.TrimLeft(line, " "))
	switch {
	case label == "" && indent == 0:
		return table.Wrap(line, width, "")
	case label == "" || strings.Contains(label, "shadowsync "):
		return wrapped(line, width, strings.Repeat(" ", indent+2))
	case width-len(label) < leastText:
		return wrapped(strings.TrimRight(label, " ")+"  "+line[len(label):], width, strings.Repeat(" ", indent+2))
	}
	return wrapped(line, width, strings.Repeat(" ", len(label)))
}
