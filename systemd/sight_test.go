package systemd

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/test/eventually"
)

// sightLog is the file in which a hook on a test machine writes what it sees of its environment.
const sightLog = "/var/log/sight"

// perRun matches what differs between runs of a unit in any environment.
var perRun = regexp.MustCompile(`(?m)^(INVOCATION_ID|JOURNAL_STREAM|SYSTEMD_EXEC_PID|MONITOR_INVOCATION_ID|CREDENTIALS_DIRECTORY)=.*\n`)

// sight describes everything about a process that a directive of systemd.exec(5) or
// systemd.resource-control(5) can change.
func sight() string {
	var b strings.Builder
	env := os.Environ()
	slices.Sort(env)
	for _, v := range env {
		fmt.Fprintf(&b, "%s\n", v)
	}
	for _, link := range []string{"exe", "cwd", "root", "ns/net", "ns/pid", "ns/user", "ns/ipc", "ns/cgroup"} {
		to, _ := os.Readlink("/proc/self/" + link)
		fmt.Fprintf(&b, "%s -> %s\n", link, to)
	}
	for _, name := range []string{"/", "/etc", "/usr/sbin/shadowsync", "/var/log"} {
		var stat unix.Stat_t
		err := unix.Stat(name, &stat)
		fmt.Fprintf(&b, "%s %d %d %o %v\n", name, stat.Dev, stat.Ino, stat.Mode, err)
	}
	for _, name := range []string{"cgroup", "limits", "oom_score_adj", "personality", "loginuid", "coredump_filter"} {
		text, _ := os.ReadFile("/proc/self/" + name)
		fmt.Fprintf(&b, "%s: %s\n", name, text)
	}
	slack, _ := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	fmt.Fprintf(&b, "timer slack %d\n", slack)
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		key, _, _ := strings.Cut(line, ":")
		if slices.Contains([]string{"Umask", "Uid", "Gid", "Groups", "NoNewPrivs", "Seccomp", "Seccomp_filters", "Cpus_allowed", "SigIgn"}, key) || strings.HasPrefix(key, "Cap") {
			b.WriteString(line)
		}
	}
	stat, _ := os.ReadFile("/proc/self/stat")
	if f := strings.Fields(string(stat)); len(f) > 40 {
		fmt.Fprintf(&b, "priority %s nice %s policy %s session of itself %v\n", f[17], f[18], f[40], f[0] == f[5])
	}
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	var places []string
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 5 && !strings.HasPrefix(f[4], "/run/credentials/") {
			places = append(places, f[4]+" "+f[5])
		}
	}
	slices.Sort(places)
	return perRun.ReplaceAllString(b.String(), "") + strings.Join(places, "\n") + "\nend\n"
}

// noteSight logs what a hook sees, under the moment's name.
func noteSight(moment string) {
	if !exists(sightLog) {
		return
	}
	text := sight()
	f, err := os.OpenFile(filepath.Join(sightLog, moment), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		os.Exit(1)
	}
	defer f.Close()
	fmt.Fprint(f, text)
}

// directive is what an application's own unit may contain, and the files needed for it.
type directive struct {
	name, lines, prepare string
	// harmless: systemd itself does not apply it to a "+" command, so the control sees no
	// difference.
	harmless bool
}

const (
	plantTree   = "mkdir -p /srv/tree/usr/sbin /srv/tree/usr/bin /srv/tree/etc /srv/tree/var/log /srv/tree/proc /srv/tree/sys /srv/tree/dev /srv/tree/run /srv/tree/tmp; ln -sfn usr/bin /srv/tree/bin; ln -sfn usr/lib /srv/tree/lib; ln -sfn usr/lib64 /srv/tree/lib64; cp -a /usr/bin/sleep /usr/bin/sh /usr/bin/dash /srv/tree/usr/bin/; cp /usr/sbin/shadowsync /srv/tree/usr/sbin/; mkdir -p /srv/tree/usr/lib /srv/tree/usr/lib64"
	plantBinary = "mkdir -p /srv/evil; cp /usr/sbin/shadowsync /srv/evil/shadowsync; cp /usr/sbin/shadowsync /srv/evil-shadowsync; chmod 755 /srv/evil-shadowsync"
)

// directives of systemd.exec(5) and related pages: each changes the environment, the files, the
// rights or the limits of programs in the application's unit.
var directives = []directive{
	{name: "EnvironmentFile", lines: "EnvironmentFile=/srv/env", prepare: "printf 'LD_PRELOAD=/srv/evil.so\nLD_LIBRARY_PATH=/srv/evil\nLD_AUDIT=/srv/evil.so\nGODEBUG=netdns=go\nGLIBC_TUNABLES=x=y\nPATH=/srv/evil\n' > /srv/env"},
	{name: "Environment", lines: `Environment=LD_PRELOAD=/srv/evil.so "GODEBUG=x=1" TMPDIR=/srv/evil HOME=/srv/evil`},
	{name: "PassEnvironment", lines: "PassEnvironment=container"},
	{name: "RootDirectory", lines: "RootDirectory=/srv/tree\nBindReadOnlyPaths=/usr/lib /usr/lib64", prepare: plantTree},
	{name: "RootDirectory with MountAPIVFS", lines: "RootDirectory=/srv/tree\nMountAPIVFS=yes\nBindReadOnlyPaths=/usr/lib /usr/lib64", prepare: plantTree},
	{name: "BindPaths", lines: "BindPaths=/srv/evil-shadowsync:/usr/sbin/shadowsync", prepare: plantBinary},
	{name: "BindReadOnlyPaths", lines: "BindReadOnlyPaths=/srv/evil-shadowsync:/usr/sbin/shadowsync", prepare: plantBinary},
	{name: "TemporaryFileSystem", lines: "TemporaryFileSystem=/srv"},
	{name: "InaccessiblePaths", lines: "InaccessiblePaths=/srv"},
	{name: "ReadOnlyPaths", lines: "ReadOnlyPaths=/srv"},
	{name: "NoExecPaths", lines: "NoExecPaths=/srv"},
	{name: "ProtectSystem", lines: "ProtectSystem=strict\nReadWritePaths=/var/log"},
	{name: "PrivateTmp", lines: "PrivateTmp=yes"},
	{name: "PrivateMounts", lines: "PrivateMounts=yes\nReadWritePaths=/srv"},
	{name: "PAMName", lines: "PAMName=planted", prepare: "printf 'session required pam_env.so readenv=1 envfile=/srv/pamenv user_readenv=0\naccount required pam_permit.so\n' > /etc/pam.d/planted; printf 'LD_PRELOAD=/srv/evil.so\n' > /srv/pamenv", harmless: true},
	{name: "WorkingDirectory", lines: "WorkingDirectory=/srv"},
	{name: "ExecSearchPath", lines: "ExecSearchPath=/srv/evil:/usr/bin", prepare: plantBinary},
	{name: "UMask", lines: "UMask=0000"},
	{name: "Limits", lines: "LimitNOFILE=99\nLimitCORE=infinity\nLimitMEMLOCK=1M", harmless: true},
	{name: "Nice", lines: "Nice=7\nCPUSchedulingPolicy=batch"},
	{name: "OOMScoreAdjust", lines: "OOMScoreAdjust=321"},
	{name: "TimerSlackNSec", lines: "TimerSlackNSec=5ms"},
	{name: "CoredumpFilter", lines: "CoredumpFilter=0x7f"},
	{name: "CPUAffinity", lines: "CPUAffinity=0"},
	{name: "PrivateNetwork", lines: "PrivateNetwork=yes"},
	{name: "PrivateIPC", lines: "PrivateIPC=yes"},
	{name: "Slice", lines: "Slice=planted.slice"},
	{name: "StateDirectory", lines: "StateDirectory=planted\nRuntimeDirectory=planted\nCacheDirectory=planted\nLogsDirectory=planted\nConfigurationDirectory=planted"},
	{name: "LoadCredential", lines: "LoadCredential=planted:/etc/hostname", harmless: true},
	{name: "SyslogIdentifier", lines: "SyslogIdentifier=planted", harmless: true},
	{name: "User", lines: "User=nobody\nSupplementaryGroups=shadow", harmless: true},
	{name: "Capabilities", lines: "CapabilityBoundingSet=CAP_CHOWN\nNoNewPrivileges=yes\nSystemCallFilter=@system-service", harmless: true},
	{name: "UnsetEnvironment", lines: "UnsetEnvironment=PATH LANG USER"},
}

// observed is an application with its own unit. Our program runs inside it, as in earlier versions,
// and shows what each directive would have done to us.
const observed = "observed.service"

func (d directive) observe(t *testing.T) map[string]string {
	t.Helper()
	if d.prepare != "" {
		must(t, "sh", "-c", d.prepare)
	}
	write(t, "/etc/systemd/system/"+observed, "[Service]\nType=exec\nExecStart=/usr/bin/sleep infinity\nExecStopPost=-+/usr/sbin/shadowsync hook inside --unit %n\n"+d.lines+"\n")
	must(t, "rm", "-rf", sightLog)
	must(t, "mkdir", sightLog)
	must(t, "systemctl", "daemon-reload")
	must(t, "systemctl", "start", observed)
	sights := map[string]string{}
	see := func(moment string) {
		t.Helper()
		path := filepath.Join(sightLog, moment)
		eventually.Holds(t, moment, func() bool {
			text, err := os.ReadFile(path)
			return err == nil && strings.HasSuffix(string(text), "end\n")
		})
		text, _ := os.ReadFile(path)
		sights[moment] = string(text)
	}
	see("pre-start")
	see("settle")
	must(t, "systemctl", "stop", observed)
	see("post-stop")
	inside, _ := os.ReadFile(filepath.Join(sightLog, "inside"))
	sights["inside"] = string(inside)
	return sights
}

// Nothing in an application's unit affects our processes: each hook sees the same as with a unit
// that sets nothing. A program inside the unit, as in earlier versions, shows that each directive
// would have made a difference.
func TestDirectivesDoNotReachHooksOnMachine(t *testing.T) {
	if !inside(t) {
		return
	}
	install(t)
	dropIn, err := DropIn(PolicyStart, Jobs{})
	if err != nil {
		t.Fatal(err)
	}
	write(t, DropInPath("/etc", observed), dropIn)
	plain := directive{}.observe(t)
	for _, d := range directives {
		t.Run(d.name, func(t *testing.T) {
			sights := d.observe(t)
			for _, moment := range []string{"pre-start", "settle", "post-stop"} {
				if sights[moment] != plain[moment] {
					t.Errorf("%s sees another world:\n%s", moment, lineDifference(plain[moment], sights[moment]))
				}
			}
			if same := sights["inside"] == plain["inside"]; same && !d.harmless {
				t.Error("inside the unit it makes no difference, so that this proves nothing")
			}
		})
	}
}

// lineDifference lists the lines that are in only one of the two texts.
func lineDifference(before, after string) string {
	var b strings.Builder
	old, now := strings.Split(before, "\n"), strings.Split(after, "\n")
	for _, line := range old {
		if !slices.Contains(now, line) {
			b.WriteString("- " + line + "\n")
		}
	}
	for _, line := range now {
		if !slices.Contains(old, line) {
			b.WriteString("+ " + line + "\n")
		}
	}
	return b.String()
}
