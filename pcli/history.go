package pcli

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/shadowsync/shadowsync/internal/term/printable"
)

// keptLines is the number of lines that the history keeps.
const keptLines = 500

var errNoEvent = errors.New("there is no such line in the history")

// history is the lines typed at the prompt, kept only in this shell's memory and numbered from 1.
type history struct {
	lines   []string
	dropped int // number of lines removed from the start
}

// Len and At serve the arrow keys: the newest line is at 0.
func (h *history) Len() int { return len(h.lines) }

// At returns the line typed i lines before the newest.
func (h *history) At(i int) string { return h.lines[len(h.lines)-1-i] }

func (h *history) add(line string) {
	if strings.TrimSpace(line) == "" {
		return
	}
	h.lines = append(h.lines, line)
	if n := len(h.lines) - keptLines; n > 0 {
		h.lines = slices.Delete(h.lines, 0, n)
		h.dropped += n
	}
}

func (h *history) clear() {
	clear(h.lines)
	*h = history{}
}

// recall replaces !!, !n, !-n or !text with the line that it names, and keeps the text after it. It
// returns other lines unchanged.
func (h *history) recall(line string) (string, error) {
	trimmed := strings.TrimSpace(line)
	event, ok := strings.CutPrefix(trimmed, "!")
	if !ok || event == "" {
		return line, nil
	}
	event, tail, _ := strings.Cut(event, " ")
	i := h.find(event)
	if i < 0 || i >= len(h.lines) {
		return "", fmt.Errorf("!%s: %w", printable.Clip(event, 64), errNoEvent)
	}
	return strings.TrimSpace(h.lines[i] + " " + tail), nil
}

func (h *history) find(event string) int {
	if event == "!" {
		return len(h.lines) - 1
	}
	if n, err := strconv.Atoi(event); err == nil {
		if n < 0 {
			return len(h.lines) + n
		}
		return n - 1 - h.dropped
	}
	for i := len(h.lines) - 1; i >= 0; i-- {
		if strings.HasPrefix(h.lines[i], event) {
			return i
		}
	}
	return -1
}

// String is the output of show history.
func (h *history) String() string {
	var b strings.Builder
	for i, line := range h.lines {
		fmt.Fprintf(&b, "%5d  %s\n", h.dropped+i+1, printable.Quote(line))
	}
	return b.String()
}
