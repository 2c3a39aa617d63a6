package enginetest

import (
	"context"
	"sync"

	"github.com/shadowsync/shadowsync/internal/factor/mail"
)

// Mails takes the mails of a system, where its configuration names a server.
type Mails struct {
	mu   sync.Mutex
	sent []mail.Message
	err  error
}

// Refuse makes the server refuse mails with this error; nil: it takes them.
func (m *Mails) Refuse(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

// Sent returns what the server has taken.
func (m *Mails) Sent() []mail.Message {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]mail.Message{}, m.sent...)
}

func (m *Mails) send(_ context.Context, message mail.Message) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		m.sent = append(m.sent, message)
	}
	return m.err
}
