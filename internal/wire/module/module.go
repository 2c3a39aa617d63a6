// Package module is what the PAM module and the broker say to each other on root's socket, and on the
// one for second factors. The other half is cmd/pam_shadowsync/text.c.
//
// A request is JSON. The answer to a module is plain: one byte for its kind, then its text, so that
// no program with the module in it has to read JSON. A module that was loaded before an upgrade does
// not ask for the plain form, and gets JSON as before; so does the root tool.
package module

import (
	"context"

	"github.com/shadowsync/shadowsync/internal/wire/socket"
)

// Request is what the module or the root tool asks.
type Request struct {
	Op    string `json:"op"`
	User  string `json:"user,omitempty"`
	Plain bool   `json:"plain,omitempty"` // the answer may be plain
}

// Kind says what the module does with an answer.
type Kind byte

// The kinds.
const (
	Says    Kind = 's' // it shows the text, if there is one
	Refuses Kind = 'r' // it refuses the new password, or the login, and shows why
	Notes   Kind = 'n' // it leaves a note about the change, and then shows the text; empty: that the change is queued
)

// Answer is what the broker says.
type Answer struct {
	Kind Kind
	Text string
}

// Message is the answer as JSON.
type Message struct {
	Message string `json:"message"`
}

// Send sends the answer in the form that the request asks for.
func (a Answer) Send(ctx context.Context, conn *socket.Conn, r Request) error {
	if r.Plain {
		return a.SendPlain(ctx, conn)
	}
	return conn.Send(ctx, a.message())
}

// SendPlain sends the answer in the plain form.
func (a Answer) SendPlain(ctx context.Context, conn *socket.Conn) error {
	return conn.SendText(ctx, string(rune(a.Kind))+a.Text[:min(len(a.Text), MaxText)])
}

// message tells a module of before the kinds by how the text begins: "BAD PASSWORD: " refuses, and
// "note" asks for a note.
func (a Answer) message() Message {
	const note = "note"
	switch {
	case a.Kind == Notes && a.Text == "":
		return Message{note}
	case a.Kind == Notes:
		return Message{note + " " + a.Text}
	}
	return Message{a.Text}
}
