package console

import (
	"strings"
	"unicode/utf8"
)

const more = "--More--"

// Page writes text one screenful at a time. Space shows the next screenful and Enter the next line;
// q and Ctrl-C stop without an error.
func (s *screen) Page(text string) error {
	width, height := s.size()
	room := height - 1
	for _, line := range strings.SplitAfter(text, "\n") {
		rows := rowsOf(line, width)
		if room < rows && room < height-1 {
			step, err := s.more()
			if err != nil || step == 0 {
				return err
			}
			width, height = s.size()
			room = min(step, height-1)
		}
		if _, err := s.Write([]byte(line)); err != nil {
			return err
		}
		room -= rows
	}
	return nil
}

func rowsOf(line string, width int) int {
	n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n"))
	if line == "" {
		return 0
	}
	return max(1, (n+width-1)/width)
}

// more asks how many rows to show next; 0 means stop.
func (s *screen) more() (int, error) {
	s.raw(more)
	defer s.raw("\r\x1b[K")
	s.keys.begin()
	for {
		var p [8]byte
		n, err := s.keys.Read(p[:])
		if err != nil {
			return 0, err
		}
		if s.keys.interrupted || s.keys.top {
			return 0, nil
		}
		switch key := string(p[:n]); key {
		case "q", "Q", "\x04":
			return 0, nil
		case " ", "f":
			return maxRows, nil
		case "\r", "j", "\x1b[B":
			return 1, nil
		}
	}
}

// maxRows is larger than any terminal.
const maxRows = 1 << 20
