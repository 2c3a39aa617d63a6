// Package page has the pages of shadowsync-web: forms for what a person may do with their account, and an
// administrator with others'. They need no script.
//
// No step is kept here. The browser's cookie holds the token, and the daemon's session all else; every
// request asks the daemon who it comes from, and what that person may do. What a page shows once (a setup
// key, recovery codes, a generated password) is in the answer to the form that asked for it, and nowhere
// else.
//
//	page.go      the routes
//	visit.go     one request: who it comes from, its cookie, its form
//	form.go      reads forms as bytes
//	failure.go   from errors to answers
//	show.go      templates, and what every answer carries
//	field.go     what a field of a form looks like
//	signin.go    sign in, sign out
//	password.go  change the password
//	factor.go    the second factor, its codes, and its loss
//	profile.go   what a person sees of their own account
//	lists.go     sessions, activity, the audit
//	admin.go     the accounts
package page

import (
	"log/slog"
	"net/http"
	"net/netip"
	"slices"

	"github.com/shadowsync/shadowsync/shadowsync/web"
)

// Site is what the pages need.
type Site struct {
	Client   web.Client
	Settings func() web.Settings
	// Address returns the browser's address.
	Address func(*http.Request) netip.Addr
	// Secret is called before a form is read, which may hold a password or a code.
	Secret func()
	// Unreachable is called when the daemon did not answer.
	Unreachable func()
	Log         *slog.Logger
}

// A route is a page or the answer to a form.
type route struct {
	pattern string
	who     access
	do      func(*visit) error
}

// An access says who may see a route. Who may not is sent to where they may go on; others than
// administrators do not learn that there is a page of theirs.
type access struct {
	anybody bool
	steps   []web.Next // of signing in, at which the route is open
	admin   bool
}

var (
	anybody  = access{anybody: true}
	signedIn = access{steps: []web.Next{web.NextNone}}
	admins   = access{steps: []web.Next{web.NextNone}, admin: true}
	locating = access{steps: []web.Next{web.NextCode, web.NextMailed}}
	enrolled = access{steps: []web.Next{web.NextNone, web.NextEnrolment, web.NextEnrol, web.NextConfirm}}
	changing = access{steps: []web.Next{web.NextNone, web.NextPassword}}
	anyStep  = access{steps: []web.Next{web.NextNone, web.NextCode, web.NextMailed, web.NextEnrolment, web.NextEnrol, web.NextConfirm, web.NextPassword}}
)

// routes is the one table of what there is.
var routes = []route{
	{"GET /{$}", anybody, func(v *visit) error { return v.goTo("/profile") }},
	{"GET /sign-in", anybody, (*visit).signInPage},
	{"POST /sign-in", anybody, (*visit).signIn},
	{"GET /sign-out", anybody, func(v *visit) error { return v.goTo("/sign-in") }},
	{"POST /sign-out", anybody, (*visit).signOut},
	{"GET /lost", locating, (*visit).lostPage},
	{"POST /lost", locating, (*visit).lost},

	{"GET /profile", signedIn, (*visit).profile},
	{"GET /profile/password", changing, (*visit).passwordPage},
	{"POST /profile/password", changing, (*visit).setPassword},
	{"GET /profile/2fa", enrolled, (*visit).factorPage},
	{"POST /profile/2fa", enrolled, (*visit).factor},
	{"GET /profile/codes", signedIn, (*visit).codesPage},
	{"POST /profile/codes", signedIn, (*visit).renewCodes},
	{"POST /profile/codes/download", anyStep, (*visit).downloadCodes},
	{"GET /profile/mail", signedIn, (*visit).mailPage},
	{"POST /profile/mail", signedIn, (*visit).setMail},
	{"GET /profile/sessions", signedIn, (*visit).sessionsPage},
	{"POST /profile/sessions", signedIn, (*visit).endOwnSessions},
	{"GET /profile/activity", signedIn, (*visit).activity},

	{"GET /admin", admins, func(v *visit) error { return v.goTo("/admin/users") }},
	{"GET /admin/users", admins, (*visit).users},
	{"GET /admin/users/{name}", admins, (*visit).userPage},
	{"GET /admin/users/{name}/{action}", admins, func(v *visit) error { return v.goTo(userPath(v.r.PathValue("name"))) }},
	{"POST /admin/users/{name}/lock", admins, (*visit).lock},
	{"POST /admin/users/{name}/unlock", admins, (*visit).unlock},
	{"POST /admin/users/{name}/expire", admins, (*visit).expire},
	{"POST /admin/users/{name}/sign-out", admins, (*visit).endSessions},
	{"POST /admin/users/{name}/password", admins, (*visit).resetPassword},
	{"POST /admin/users/{name}/2fa", admins, (*visit).resetFactor},
	{"GET /admin/directory", admins, func(v *visit) error { return v.goTo("/admin/users") }},
	{"POST /admin/directory", admins, (*visit).resetInDirectory},
	{"GET /admin/sync", admins, (*visit).sync},
	{"GET /admin/audit", admins, (*visit).audit},

	{"GET /style.css", anybody, func(v *visit) error { return v.file("text/css; charset=utf-8", style) }},
	{"GET /icon.svg", anybody, func(v *visit) error { return v.file("image/svg+xml", icon) }},
}

// Handler answers all requests.
func (s *Site) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, one := range routes {
		mux.HandleFunc(one.pattern, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, one) })
	}
	cross := http.NewCrossOriginProtection()
	cross.SetDenyHandler(s.always(problem{Status: http.StatusForbidden, Text: "This form was sent by another site. Nothing was changed."}))
	return s.guarded(cross.Handler(s.found(mux)))
}

// found answers with a page where there is no route, or none for the method.
func (s *Site) found(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		p := problem{Status: http.StatusNotFound}
		only := &headOnly{header: http.Header{}}
		if h.ServeHTTP(only, r); only.status == http.StatusMethodNotAllowed {
			p.Status = only.status
			w.Header().Set("Allow", only.header.Get("Allow"))
		}
		s.always(p).ServeHTTP(w, r)
	})
}

// headOnly keeps the status and the header of an answer.
type headOnly struct {
	header http.Header
	status int
}

func (h *headOnly) Header() http.Header         { return h.header }
func (h *headOnly) Write(b []byte) (int, error) { return len(b), nil }
func (h *headOnly) WriteHeader(status int)      { h.status = status }

// serve makes sure that who asks may, reads the form, and answers.
func (s *Site) serve(w http.ResponseWriter, r *http.Request, to route) {
	v := &visit{site: s, w: w, r: r, token: tokenOf(r)}
	defer v.end()
	ctx, cancel := v.bounded()
	defer cancel()
	v.ctx, v.login = ctx, s.Client.With(v.token)
	err := v.admit(to.who)
	if err == nil && r.Method == http.MethodPost {
		err = v.read()
	}
	if err == nil {
		err = to.do(v)
	}
	if err != nil {
		v.fail(err)
	}
}

// admit finds out who asks, and whether they may.
func (v *visit) admit(who access) error {
	if who.anybody {
		return nil
	}
	if v.token == "" {
		return elsewhere("/sign-in")
	}
	person, err := v.login.Who(v.ctx)
	switch {
	case err != nil:
		return err
	case !slices.Contains(who.steps, person.Next):
		return elsewhere(place(person.Next))
	case who.admin && person.Role != web.RoleAdmin:
		return problem{Status: http.StatusNotFound}
	}
	v.person = person
	return nil
}

// place is where a step of signing in goes on.
func place(next web.Next) string {
	switch next {
	case web.NextNone:
		return "/profile"
	case web.NextMailed:
		return "/lost"
	case web.NextEnrolment, web.NextEnrol, web.NextConfirm:
		return "/profile/2fa"
	case web.NextPassword:
		return "/profile/password"
	}
	return "/sign-in"
}
