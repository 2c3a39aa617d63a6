// Package browser drives a real Chromium that runs on a test machine, as an unprivileged user there and in its own
// sandbox. It speaks with it over a pipe: nothing listens on the machine for that.
//
//	authority := browser.NewAuthority(t)
//	b := browser.Start(t, m, authority)
//	anna := b.Visit(t, "https://node1.example.net:8443")
//	anna.Open("/sign-in")
//	anna.Submit("sign-in", "username", "anna", "password", "secret")
//	if anna.Path() != "/profile" { … }
//
// It promises that no page runs scripts, that certificates are verified as for any user, and that each visitor has
// cookies of their own, as in a private window.
//
//	browser.go    the browser as a process, and what it trusts
//	authority.go  certificates for the machine's servers
//	visitor.go    what a person does and sees
//	keyboard.go   a person without a mouse
//	download.go   files that a page offers
//	looks.go      sizes, colours, screenshots, axe-core
//	run.go        how all of these ask the browser
package browser

import (
	"context"
	"encoding/json"
	"errors"
	"os"

	"github.com/chromedp/chromedp"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// User runs the browser on the machine.
const User = "surfer"

// policies is where Debian's Chromium reads what the machine's administrator prescribes.
const policies = "/etc/chromium/policies/managed/test.json"

var flags = []string{
	"chromium", "--headless", "--remote-debugging-pipe", "--no-first-run", "--no-default-browser-check", "--hide-scrollbars",
	// The browser fetches nothing for itself: the machine has no network.
	"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
	"--disable-breakpad", "--disable-gpu", "--force-color-profile=srgb", "--password-store=basic",
	// Visitors are tabs of one window, and only one is in front.
	"--disable-renderer-backgrounding", "--disable-backgrounding-occluded-windows", "--disable-background-timer-throttling",
}

// A Browser is a running Chromium.
type Browser struct {
	m       *machine.T
	process *machine.Process
	context context.Context
}

// Start starts a browser that trusts an authority beside those of Debian. It ends with the test.
func Start(tb machine.TB, m *machine.T, authority *Authority) *Browser {
	tb.Helper()
	policy, err := json.Marshal(map[string]any{"CACertificates": [][]byte{authority.certificate.Raw}, "PasswordManagerEnabled": false})
	if err != nil {
		tb.Fatalf("%v", err)
	}
	m.WriteFile(policies, string(policy), 0o644)
	m.Must("useradd", "--create-home", User)
	b := &Browser{m: m}
	allocator, release := chromedp.NewAllocatorContext(tb.Context(), b)
	// It reports as errors what it did not expect of a window that is being opened; what fails is an error of the action.
	quiet := chromedp.WithErrorf(func(string, ...any) {})
	first, cancel := chromedp.NewContext(allocator, quiet)
	b.context = first
	tb.Cleanup(func() {
		if tb.Failed() && b.process != nil {
			tb.Logf("the browser says:\n%s", b.process.Output())
		}
		cancel()
		release()
		b.Stop(tb)
	})
	if err := chromedp.Do(first); err != nil {
		tb.Fatalf("cannot start the browser: %v", err)
	}
	return b
}

// Stop ends the browser. Its visitors must do nothing any more.
func (b *Browser) Stop(tb machine.TB) {
	tb.Helper()
	if b.process == nil {
		return
	}
	if err := b.process.Stop(); err != nil {
		tb.Fatalf("%v", err)
	}
}

// Allocate implements chromedp.Allocator.
func (b *Browser) Allocate(ctx context.Context, options ...chromedp.BrowserOption) (*chromedp.Browser, error) {
	commands, toBrowser, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	fromBrowser, answers, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, commands.Close(), toBrowser.Close())
	}
	b.process, err = b.m.Machine.Start(machine.Command{User: User, Args: flags, Files: []*os.File{commands, answers}})
	if err = errors.Join(err, commands.Close(), answers.Close()); err != nil {
		return nil, errors.Join(err, toBrowser.Close(), fromBrowser.Close())
	}
	return chromedp.NewBrowserTransport(ctx, chromedp.NewPipeConn(fromBrowser, toBrowser), options...)
}

// Wait implements chromedp.Allocator.
func (b *Browser) Wait() { <-b.process.Done() }
