package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"slices"
	"unicode/utf8"

	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/shadowsync/web"
)

// Limits of a request.
const (
	largestRequest = 16 << 10 // bytes
	mostFiles      = 2
	longestName    = 64 // bytes; no account has a longer one
	longestToken   = 64
	longestOp      = 32
)

var errRequest = &web.Error{Kind: web.Usage, Text: "the request is not understood"}

// receive takes one request. Without one, and without an error, there is nothing to answer.
func receive(ctx context.Context, conn *socket.Conn) (*web.Request, []*os.File, *web.Error) {
	ctx, cancel := context.WithTimeout(ctx, firstPacket)
	defer cancel()
	var packed json.RawMessage
	files, err := conn.Receive(ctx, &packed)
	switch {
	case errors.As(err, new(*json.SyntaxError)), errors.Is(err, socket.ErrTooLarge), errors.Is(err, socket.ErrTooManyFiles), errors.Is(err, socket.ErrNotSealed):
		return nil, nil, errRequest
	case err != nil:
		return nil, nil, nil
	case len(packed) > largestRequest, slices.ContainsFunc(files, tooLong):
		return nil, files, errRequest
	}
	q, err := parse(packed)
	if err != nil {
		return nil, files, errRequest
	}
	return &q, files, nil
}

// tooLong reports whether a secret is longer than any password.
func tooLong(secret *os.File) bool {
	info, err := secret.Stat()
	return err != nil || info.Size() > web.MaxPassword
}

// parse reads a request, and refuses what no page sends.
func parse(packed []byte) (q web.Request, err error) {
	if err := json.Unmarshal(packed, &q); err != nil {
		return q, err
	}
	if len(q.Op) > longestOp || len(q.Token) > longestToken || len(q.User) > longestName || !plain(q.User) {
		return q, errRequest
	}
	return q, nil
}

// plain reports whether a name can be one of an account: no control characters, and no colon.
func plain(name string) bool {
	for _, r := range name {
		if r < ' ' || r == 0x7f || r == ':' || r == '/' {
			return false
		}
	}
	return utf8.ValidString(name)
}

// arrival reads who wants to sign in. The address is put into its usual form.
func arrival(q web.Request, files []*os.File) (who web.SignIn, err error) {
	if json.Unmarshal(q.Args, &who) != nil || len(files) != 1 || q.User != "" {
		return who, errRequest
	}
	address, err := netip.ParseAddr(who.Address)
	if err != nil || address.Zone() != "" {
		return who, errRequest
	}
	who.Address = address.Unmap().String()
	if who.Name == "" || len(who.Name) > longestName || !plain(who.Name) {
		// Nobody has such a name: it is tried like any other, so that it is answered as late.
		who.Name = "?"
	}
	return who, nil
}
