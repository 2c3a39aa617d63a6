package doctor

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/shadowsync/shadowsync/internal/account/directory"
)

// checkDirectory names local accounts that a directory has, too: its password opens them.
func checkDirectory(ctx context.Context, e *exam) verdict {
	services := directory.Services(directory.Accounts)
	switch {
	case len(services) == 0:
		return pass("no directory has accounts of this machine")
	case e.config == nil:
		return notChecked("the configuration cannot be read")
	}
	var names []string
	for _, a := range e.config.Firsts() {
		names = append(names, a.Accounts...)
	}
	both, err := directory.Known(ctx, names)
	if err != nil {
		return notChecked(err.Error())
	}
	return assessBoth(both, services, e.config.SecondFactor.LDAP)
}

// assessBoth says of which of the names a directory has that its password opens the local account.
func assessBoth(both map[string]string, services []string, ldap bool) verdict {
	if len(both) > 0 {
		names := slices.Sorted(maps.Keys(both))
		return warn("in /etc/shadow and in the directory (%s): %s; the directory's password opens the local account, too", both[names[0]], strings.Join(few(names), ", ")).
			person("rename one, or hide it from this machine (sssd: filter_users)", "getent --service="+both[names[0]]+" passwd "+names[0])
	}
	if !ldap {
		return pass("accounts of the directory (%s) may not use pcli", strings.Join(services, ", "))
	}
	return pass("accounts of the directory (%s) may use pcli", strings.Join(services, ", "))
}
