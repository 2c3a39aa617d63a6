package scenes

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// cockpit is where Cockpit listens on the machine. From there it takes connections without TLS.
const cockpit = "127.0.0.1:9090"

// browser is somebody's at Cockpit: it does what the scripts of Cockpit's pages do.
type browser struct {
	s      *stage
	client *http.Client
	rules  bool // Cockpit shall become root by sudo, with the password of the login
}

// browses opens a browser that nobody has logged in with.
func (s *stage) browses(rules bool) *browser {
	s.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	transport := &http.Transport{DialContext: s.DialContext, DisableKeepAlives: true}
	return &browser{s, &http.Client{Jar: jar, Transport: transport, Timeout: machine.Patience}, rules}
}

// answer is what Cockpit says to a login: it is in, refused, or asks.
type answer struct {
	in     bool
	status string // of HTTP
	id     string // of the conversation
	prompt string
	Echo   bool
	// What is shown above the prompt: one of them. Cockpit keeps such texts until the next prompt, and logs them.
	Message, Error string
}

// signIn fills in the form of Cockpit's login page.
func (b *browser) signIn(user, password string) answer {
	b.s.t.Helper()
	return b.asks("Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
}

// replies answers a prompt.
func (b *browser) replies(to answer, text string) answer {
	b.s.t.Helper()
	if to.id == "" {
		b.s.t.Fatalf("Cockpit asks nothing that %q could answer: %+v", text, to)
	}
	return b.asks("X-Conversation " + to.id + " " + base64.StdEncoding.EncodeToString([]byte(text)))
}

func (b *browser) asks(authorization string) answer {
	b.s.t.Helper()
	request, err := http.NewRequestWithContext(b.s.t.Context(), http.MethodGet, "http://"+cockpit+"/cockpit/login", nil)
	if err != nil {
		b.s.t.Fatal(err)
	}
	request.Header.Set("Authorization", authorization)
	if b.rules {
		request.Header.Set("X-Superuser", "any")
	}
	response, err := b.client.Do(request)
	if err != nil {
		b.s.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		b.s.t.Fatal(err)
	}
	a := answer{in: response.StatusCode == http.StatusOK, status: response.Status}
	challenge := strings.Fields(response.Header.Get("WWW-Authenticate"))
	if len(challenge) == 3 && challenge[0] == "X-Conversation" {
		prompt, err := base64.StdEncoding.DecodeString(challenge[2])
		if err == nil {
			err = json.Unmarshal(body, &a)
		}
		if err != nil {
			b.s.t.Fatalf("Cockpit asks %q, %s: %v", challenge, body, err)
		}
		a.id, a.prompt = challenge[1], string(prompt)
	}
	return a
}

// page is one of Cockpit's pages, which talks to the bridge in the session of whoever logged in.
type page struct {
	s    *stage
	conn *websocket.Conn
	seed string // before the names of this page's channels
	last int    // number of the last channel
}

// control is a command of Cockpit's protocol, with the members that matter here.
type control struct {
	Command    string `json:"command"`
	Channel    string `json:"channel"`
	Seed       string `json:"channel-seed"`
	Problem    string `json:"problem"`
	ExitStatus int    `json:"exit-status"`
}

// looks opens a page after a login.
func (b *browser) looks() *page {
	b.s.t.Helper()
	p := &page{s: b.s}
	ctx, cancel := p.within(machine.Patience)
	defer cancel()
	options := &websocket.DialOptions{HTTPClient: b.client, Subprotocols: []string{"cockpit1"}, HTTPHeader: http.Header{"Origin": {"http://" + cockpit}}}
	var err error
	if p.conn, _, err = websocket.Dial(ctx, "ws://"+cockpit+"/cockpit/socket", options); err != nil { //nolint:bodyclose // the connection closes it
		b.s.t.Fatalf("no page opens: %v", err)
	}
	b.s.t.Cleanup(func() { _ = p.conn.CloseNow() })
	for p.seed == "" {
		c, _, _, err := p.hears(ctx)
		if err != nil {
			b.s.t.Fatalf("Cockpit does not begin: %v", err)
		}
		p.seed = c.Seed
	}
	p.tells(ctx, map[string]any{"command": "init", "version": 1})
	if b.rules { // sudo runs beside
		p.s.WaitFor("Cockpit is root", machine.Patience, func() bool {
			end, err := p.spawns(machine.Patience, []string{"true"}, map[string]any{"superuser": "require"}, "", saysNothing)
			return err == nil && end.Problem == ""
		})
	}
	return p
}

// within limits the time of something. If it is over, the page is gone.
func (p *page) within(limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(p.s.t.Context(), limit)
}

func (p *page) sends(ctx context.Context, channel string, payload []byte) {
	p.s.t.Helper()
	if err := p.conn.Write(ctx, websocket.MessageText, append([]byte(channel+"\n"), payload...)); err != nil {
		p.s.t.Fatalf("Cockpit takes no message: %v", err)
	}
}

func (p *page) tells(ctx context.Context, command map[string]any) {
	p.s.t.Helper()
	text, err := json.Marshal(command)
	if err != nil {
		p.s.t.Fatal(err)
	}
	p.sends(ctx, "", text)
}

// hears returns the next message: a command, or what came through a channel.
func (p *page) hears(ctx context.Context) (c control, channel string, data []byte, err error) {
	_, message, err := p.conn.Read(ctx)
	if err != nil {
		return c, "", nil, err
	}
	name, data, _ := bytes.Cut(message, []byte("\n"))
	if len(name) == 0 {
		err = json.Unmarshal(data, &c)
	}
	return c, string(name), data, err
}

// errLimit: a program has not ended in time.
var errLimit = errors.New("not ended in time")

// spawns runs a program as cockpit.spawn() does, until its end. The answer to its output is typed into it.
func (p *page) spawns(limit time.Duration, program []string, options map[string]any, input string, answers func(output string) string) (control, error) {
	p.s.t.Helper()
	p.last++
	channel := p.seed + strconv.Itoa(p.last)
	open := map[string]any{"command": "open", "channel": channel, "payload": "stream", "spawn": program}
	for name, value := range options {
		open[name] = value
	}
	ctx, cancel := p.within(limit)
	defer cancel()
	p.tells(ctx, open)
	if input != "" {
		p.sends(ctx, channel, []byte(input))
		p.tells(ctx, map[string]any{"command": "done", "channel": channel})
	}
	for {
		c, from, data, err := p.hears(ctx)
		switch {
		case ctx.Err() != nil:
			return control{}, errLimit
		case err != nil:
			return control{}, err
		case from == channel:
			if typed := answers(string(data)); typed != "" {
				p.sends(ctx, channel, []byte(typed))
			}
		case c.Command == "close" && c.Channel == channel:
			return c, nil
		}
	}
}

// saysNothing answers nothing to a program.
func saysNothing(string) string { return "" }

// ends reports whether Cockpit ends the page's session.
func (p *page) ends() bool {
	p.s.t.Helper()
	ctx, cancel := p.within(machine.Patience)
	defer cancel()
	for {
		if _, _, _, err := p.hears(ctx); err != nil {
			return ctx.Err() == nil
		}
	}
}

// works asserts that the page's session goes on.
func (p *page) works() {
	p.s.t.Helper()
	said := ""
	end, err := p.spawns(machine.Patience, []string{"echo", "still here"}, nil, "", func(output string) string { said += output; return "" })
	if err != nil || end.ExitStatus != 0 || said != "still here\n" {
		p.s.t.Errorf("the session is gone: %+v, %v, %q", end, err, said)
	}
}

// form is what the installed page of accounts does when it sets a password.
type form struct {
	asksOld, asksNew, bad, early []*regexp.Regexp // patterns of what passwd prints
	limit                        time.Duration
}

var (
	fourLists = regexp.MustCompile(`\w+=\[((?:/[^/\n]+/,?)+)\],\w+=\[((?:/[^/\n]+/,?)+)\],\w+=\[((?:/[^/\n]+/,?)+)\],\w+=\[((?:/[^/\n]+/,?)+)\]`)
	tenSecond = regexp.MustCompile(`setTimeout\(\(?function\(\)\{\w+=[\w$]+\("Prompting via passwd timed out"\),\w+\.close\("timeout"\)\}\)?,(?:1e4|10\*1e3)\)`)
	runPasswd = regexp.MustCompile(`\.spawn\(\["passwd"\],\{pty:!0,environ:\["LC_ALL=C"\],err:"out"\}\)`)
	chpasswd  = regexp.MustCompile(`\.spawn\(\["chpasswd"\],\{superuser:"require",err:"out"\}\)\.input\(\w+\+":"\+\w+\)`)
	expire    = regexp.MustCompile(`\.spawn\(\["passwd","-e",\w+\.name\],`)
)

// form reads the patterns from the installed page. It is another test if that runs other programs, or waits for longer.
func (s *stage) form() form {
	s.t.Helper()
	script := s.Must("zcat", "/usr/share/cockpit/users/users.js.gz")
	lists := fourLists.FindStringSubmatch(script)
	if lists == nil || !tenSecond.MatchString(script) || !runPasswd.MatchString(script) || !chpasswd.MatchString(script) || !expire.MatchString(script) {
		s.t.Fatalf("Cockpit's page sets passwords in another way: look at what it does. Patterns: %q", lists)
	}
	patterns := func(list string) (all []*regexp.Regexp) {
		for _, text := range strings.Split(strings.Trim(list, "/"), "/,/") {
			all = append(all, regexp.MustCompile(text))
		}
		return all
	}
	return form{patterns(lists[1]), patterns(lists[2]), patterns(lists[3]), patterns(lists[4]), 10 * time.Second}
}

func matches(patterns []*regexp.Regexp, text string) bool {
	for _, pattern := range patterns {
		if pattern.MatchString(text) {
			return true
		}
	}
	return false
}

// setsOwn has the page set the password of whoever looks at it. It returns what the page says instead of closing the
// form, if it does not, and what passwd has printed.
func (p *page) setsOwn(f form, old, fresh string) (complaint, printed string) {
	p.s.t.Helper()
	unread, sent := "", false
	complaint = "Old password not accepted"
	end, err := p.spawns(f.limit, []string{"passwd"}, map[string]any{"pty": true, "environ": []string{"LC_ALL=C"}, "err": "out"}, "", func(output string) string {
		unread += output
		printed += output
		if matches(f.early, unread) {
			complaint = "You must wait longer to change your password"
		}
		if sent && matches(f.bad, unread) {
			complaint = "New password was not accepted"
		}
		switch {
		case matches(f.asksOld, unread):
			unread = ""
			return old + "\n"
		case matches(f.asksNew, unread):
			unread, sent, complaint = "", true, "Failed to change password"
			return fresh + "\n"
		}
		return ""
	})
	switch {
	case errors.Is(err, errLimit):
		return "Prompting via passwd timed out", printed
	case err != nil:
		p.s.t.Fatalf("passwd in Cockpit: %v, after %q", err, printed)
	case end.ExitStatus == 0 && end.Problem == "":
		return "", printed
	}
	return complaint, printed
}

// setsAnother has the page set somebody's password, as an administrator.
func (p *page) setsAnother(f form, user, fresh string) (end control, printed string) {
	p.s.t.Helper()
	end, err := p.spawns(f.limit, []string{"chpasswd"}, map[string]any{"superuser": "require", "err": "out"}, user+":"+fresh, func(output string) string { printed += output; return "" })
	if err != nil {
		p.s.t.Fatalf("chpasswd in Cockpit: %v, after %q", err, printed)
	}
	return end, printed
}
