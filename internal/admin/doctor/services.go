package doctor

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/shadowsync/shadowsync/internal/admin/setup"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/password/pamstack"
)

// checkServices looks for ways past our lines in the services that ask for second factors.
func checkServices(ctx context.Context, e *exam) verdict {
	if e.config == nil {
		return notChecked("the configuration cannot be read")
	}
	asking, err := setup.AskingServices(ctx, "/")
	if err != nil {
		return fail("%v", err)
	}
	services := e.config.SecondFactor.Services
	var found []verdict
	for _, service := range services {
		found = append(found, e.assessService(ctx, service))
	}
	for _, service := range asking {
		if !slices.Contains(services, service) {
			found = append(found, warn("%s asks for a second factor, and second_factor.services does not name it", service).by("shadowsync setup", e.repair(setup.StepServices)))
		}
	}
	if len(services) == 0 {
		return join("no service asks for a second factor", found...)
	}
	good := strings.Join(services, ", ") + ": no way in without the second factor"
	if others := unasked(services); len(others) > 0 {
		good += " (a password alone is enough in " + strings.Join(few(others), ", ") + ")"
	}
	return distinct(good, found)
}

func (e *exam) assessService(ctx context.Context, service string) verdict {
	if err := setup.ModuleAsks("/", []string{service}); err != nil {
		return fail("%v", err).by("make install", nil)
	}
	file := "/etc/pam.d/" + service
	past := setup.PastFactor("/", service)
	altered, err := setup.ServiceAltered(ctx, "/", service)
	switch {
	case err != nil:
		return fail("%v", err).person("mend the file", "shadowsync setup")
	case altered && len(past) > 0:
		return fail("the lines in %s are not as setup writes them: %v", file, errors.Join(past...)).by("shadowsync setup", e.repair(setup.StepServices))
	case altered:
		return warn("the lines in %s are not as setup writes them", file).by("shadowsync setup", e.repair(setup.StepServices))
	}
	var found []verdict
	for _, way := range past {
		var gap *pamstack.GapError
		if errors.As(way, &gap) {
			file = gap.Line.File
		}
		found = append(found, fail("%v", way).person("remove that line or move it below ours", "editor "+file))
	}
	lines, err := pamstack.Read("/", service, pamstack.Auth)
	if err == nil {
		err = pamstack.Login.Check(lines)
	}
	if err != nil {
		found = append(found, fail("%s lets no account with a second factor in, for nothing tells that its password was right: %v", service, err).by("shadowsync setup", e.repair(setup.StepPAM)))
	}
	return join("", found...)
}

// unasked lists the other services that let people in for a password.
func unasked(asking []string) (others []string) {
	services, _ := pamstack.Services("/") // the other checks report it
	for _, service := range services {
		lines, err := pamstack.Read("/", service, pamstack.Auth)
		if err == nil && pamstack.Stores(lines) && config.NeverAsks(service) == "" && !slices.Contains(asking, service) {
			others = append(others, service)
		}
	}
	return others
}

// checkSSHD asks sshd itself: one of many files may say otherwise than ours.
func checkSSHD(ctx context.Context, e *exam) verdict {
	if e.config == nil {
		return notChecked("the configuration cannot be read")
	}
	if !slices.Contains(e.config.SecondFactor.Services, "sshd") {
		return pass("does not ask for a second factor")
	}
	if setup.SSHDAltered("/") {
		return fail("the file that lets sshd ask for a code is missing or changed").by("shadowsync setup", e.repair(setup.StepServices))
	}
	settings, err := setup.SSHD(ctx)
	if err != nil {
		return fail("%v", err).person("mend sshd's configuration", "sshd -t")
	}
	return assessSSHD(settings)
}

func assessSSHD(settings map[string]string) verdict {
	var found []verdict
	if settings["usepam"] != "yes" {
		found = append(found, fail("sshd takes passwords past PAM, so without a second factor (UsePAM no)").
			person("set UsePAM yes", "grep -rni UsePAM /etc/ssh/sshd_config /etc/ssh/sshd_config.d"))
	}
	if settings["kbdinteractiveauthentication"] != "yes" {
		found = append(found, fail("sshd cannot ask for a code: KbdInteractiveAuthentication is no, whatever setup's file says").
			person("remove the line that says so", "grep -rni 'KbdInteractive\\|ChallengeResponse' /etc/ssh/sshd_config /etc/ssh/sshd_config.d"))
	}
	return join("it asks for the second factor", found...)
}
