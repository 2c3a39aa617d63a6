package doctor

import (
	"context"
	"fmt"
	"strings"

	"github.com/shadowsync/shadowsync/internal/account/directory"
	"github.com/shadowsync/shadowsync/internal/account/protect"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/term/plural"
)

// checkProtected names accounts that amount to root but that the configuration lets a store change,
// and accounts of which that cannot be told.
func checkProtected(ctx context.Context, e *exam) verdict {
	if e.config == nil {
		return notChecked("the configuration cannot be read")
	}
	protected := protect.New(protect.Options{Root: "/", Groups: e.config.Protected.Groups, Admins: e.config.AdminGroups()})
	count := 0
	v := e.eachUnit("", func(a config.Application) verdict {
		found := protected.Of(ctx, a.Accounts...)
		for _, s := range found {
			if s.Why != "" {
				count++
			}
		}
		return assessProtected(e.Config, a, found)
	})
	v = join("", v, assessDirectories())
	if v.state == OK {
		v.detail = fmt.Sprintf("%s %s to root; neither a store nor an operator may change %s",
			plural.Count(count, "account"), plural.Form(count, "amounts", "amount"), plural.Form(count, "it", "them"))
	}
	return v
}

func assessProtected(configuration string, a config.Application, found map[string]protect.Standing) verdict {
	var trusted, unknown []string
	late := 0
	for _, name := range a.Accounts {
		switch s := found[name]; {
		case s.Later:
			late++
		case strings.HasPrefix(s.Why, protect.CannotTell):
			unknown = append(unknown, fmt.Sprintf("%s: %s", name, s.Why))
		case s.AgainstStores() != "" && a.TrustStore:
			trusted = append(trusted, fmt.Sprintf("%s (%s)", name, s.AgainstStores()))
		}
	}
	var verdicts []verdict
	if len(trusted) > 0 {
		verdicts = append(verdicts, warn("trust_store lets %s's store change %s", a.Name, strings.Join(trusted, ", ")).
			person("decide whether that store may change accounts that amount to root", "editor "+configuration))
	}
	if len(unknown) > 0 {
		verdicts = append(verdicts, warn("protected until it is known: %s", strings.Join(unknown, "; ")))
	}
	if late > 0 {
		verdicts = append(verdicts, warn("there was no time to ask sudo about %d of %s's accounts", late, a.Name))
	}
	return join("", verdicts...)
}

// assessDirectories: groups are read only from files. A member that a directory adds to a protected
// group is not protected by that group.
func assessDirectories() verdict {
	if services := directory.Services(directory.Groups); len(services) > 0 {
		return warn("groups also come from %s (%s): members that it adds to a protected group are seen only if sudo's rules name them", services[0], nsswitchPath)
	}
	return pass("")
}
