package operator

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/shadowsync/shadowsync/internal/wire/socket"
)

// room is how much of a packet a list may fill; the rest is for the JSON around it.
const room = socket.MaxPacket - 1024

// Conn is a conversation with whoever asked.
type Conn interface {
	Send(ctx context.Context, v any, files ...*os.File) error
	Receive(ctx context.Context, v any) ([]*os.File, error)
}

// SendResult answers with one value.
func SendResult(ctx context.Context, conn Conn, result any) error {
	packed, err := json.Marshal(result)
	if err != nil {
		return fmt.Errorf("cannot answer: %w", err)
	}
	return conn.Send(ctx, Answer{Result: packed})
}

// SendError answers with a refusal.
func SendError(ctx context.Context, conn Conn, refusal *Error) error {
	return conn.Send(ctx, Answer{Error: refusal})
}

// SendList answers with a list, in as many packets as it needs.
func SendList[T any](ctx context.Context, conn Conn, list []T) error {
	chunk := []byte{'['}
	for _, item := range list {
		packed, err := json.Marshal(item)
		if err != nil {
			return fmt.Errorf("cannot answer: %w", err)
		}
		if len(chunk) > 1 && len(chunk)+len(packed) > room {
			if err := conn.Send(ctx, Answer{Result: append(chunk, ']'), More: true}); err != nil {
				return err
			}
			chunk = []byte{'['}
		}
		if len(chunk) > 1 {
			chunk = append(chunk, ',')
		}
		chunk = append(chunk, packed...)
	}
	return conn.Send(ctx, Answer{Result: append(chunk, ']')})
}
