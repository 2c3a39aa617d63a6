package machine

import "sync"

// A buffer collects a program's output. Other goroutines can read it and wait for more.
type buffer struct {
	mu      sync.Mutex
	text    []byte
	changed chan struct{} // closed and replaced at each write
}

func newBuffer() *buffer { return &buffer{changed: make(chan struct{})} }

func (b *buffer) Write(text []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text = append(b.text, text...)
	close(b.changed)
	b.changed = make(chan struct{})
	return len(text), nil
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.text)
}

// after returns the output after the first n bytes, and a channel that closes at the next write.
func (b *buffer) after(n int) (string, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.text[n:]), b.changed
}
