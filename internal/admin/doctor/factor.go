package doctor

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/shadowsync/shadowsync/internal/account/protect"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/detect/boot"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/term/plural"
)

// checkFactors looks at the second factors: their key, the list of whom the PAM module must refuse, and
// who should have one.
func checkFactors(ctx context.Context, e *exam) verdict {
	switch {
	case e.state == nil:
		return notChecked("the state cannot be opened")
	case e.config == nil:
		return notChecked("the configuration cannot be read")
	}
	all, err := e.state.Factors(ctx)
	if err != nil {
		return fail("%v", err)
	}
	enrolled := map[string]bool{}
	for _, r := range all {
		if r.State == factor.Enrolled && r.Realm == factor.Local {
			enrolled[r.Account] = true
		}
	}
	return join(plural.Count(len(enrolled), "local account")+" enrolled",
		assessFactorKey(engine.FactorKey("/", e.config), all), e.assessEnrolled(all), e.assessRequired(ctx, enrolled), assessDrift(engine.ClockMatters(e.config, all) && boot.ClockAdrift()))
}

// assessFactorKey tells whether the key opens every secret, and is root's alone.
func assessFactorKey(key factor.Key, all []factor.Record) verdict {
	unopened, err := factor.Unopened(key, all)
	_, isFile := key.(factor.KeyFile)
	switch {
	case errors.Is(err, fs.ErrNotExist) && len(unopened) == 0:
		return pass("")
	case err != nil && len(unopened) == 0 && isFile:
		return fail("%v", err).person("remove the file", "ls -l "+key.Path())
	case err != nil && len(unopened) == 0:
		return fail("%v", err).person("encrypt the key with systemd-creds", "ls -l /etc/credstore.encrypted")
	case err != nil:
		return fail("key lost, so no code of an authenticator of %s can be checked: %v", strings.Join(few(unopened), ", "), err).
			person("put the key back, or have everybody enrol anew", "shadowsync user reset 2fa --all")
	case len(unopened) > 0:
		return fail("%s does not open the second factor of %s", key.Path(), strings.Join(few(unopened), ", ")).
			person("have them enrol anew", "shadowsync user reset 2fa local "+strings.Join(few(unopened), " "))
	}
	file := engine.FactorKeyFile("/").Path()
	if isFile {
		file = key.Path()
	}
	info, err := os.Lstat(file)
	switch {
	case !isFile && errors.Is(err, fs.ErrNotExist):
		return pass("")
	case err != nil:
		return fail("%v", err)
	case !isFile:
		return warn("the key of the second factors is a credential, and %s is still there, in the clear", file).
			person("remove the file once codes are taken", "shred -u "+file)
	}
	return assessPrivate(file, info, 0o600)
}

// checkMail visits the mail server, and logs in if the configuration says so. It sends nothing.
func checkMail(ctx context.Context, e *exam) verdict {
	switch {
	case e.config == nil:
		return notChecked("the configuration cannot be read")
	case e.config.Mail.Server == "":
		return pass("mail.server is not set: nobody gets mail about second factors")
	}
	if err := engine.TryMail(ctx, e.config); err != nil {
		return fail("nobody gets mail about second factors: %v", err).person("mend the table [mail], or the server", "editor "+e.Config)
	}
	return pass("%s takes mail", e.config.Mail.Server)
}

// assessDrift tells that nothing keeps the clock right that codes depend on.
func assessDrift(adrift bool) verdict {
	if !adrift {
		return pass("")
	}
	return warn("the clock is not synchronised, and codes of authenticators depend on it").by("timedatectl set-ntp true", nil)
}

// few shortens a list of names.
func few(names []string) []string {
	const most = 5
	if len(names) > most {
		return append(names[:most:most], "...")
	}
	return names
}

// assessEnrolled compares the list of who must show a code with the state.
func (e *exam) assessEnrolled(all []factor.Record) verdict {
	list := factor.List(all)
	info, err := os.Lstat(engine.EnrolledList)
	switch {
	case errors.Is(err, fs.ErrNotExist) && len(list) == 0:
		return pass("")
	case err != nil || !inroot.Holds("/", engine.EnrolledList, list):
		return fail("%s does not list who must show a code", engine.EnrolledList).
			by("shadowsync doctor --fix", func(ctx context.Context) error { return engine.MendEnrolled(ctx, "/", e.state) })
	}
	return assessPrivate(engine.EnrolledList, info, 0o600)
}

// assessRequired names who should have a second factor and has none.
func (e *exam) assessRequired(ctx context.Context, enrolled map[string]bool) verdict {
	required := e.config.SecondFactor.Required
	if required == config.RequiredNobody {
		return pass("")
	}
	finder := protect.New(protect.Options{Root: "/", Groups: e.config.Protected.Groups, Admins: e.config.AdminGroups()})
	var without []string
	for _, a := range e.config.Firsts() {
		standings := finder.Glance(ctx, a.Accounts...)
		for _, name := range a.Accounts {
			if !enrolled[name] && (required == config.RequiredEverybody || standings[name].Administrator != "") {
				without = append(without, name)
			}
		}
	}
	if len(without) == 0 {
		return pass("")
	}
	return warn("no second factor, which second_factor.required asks for: %s", strings.Join(few(without), ", ")).
		by("shadowsync user enrol 2fa "+without[0], nil)
}
