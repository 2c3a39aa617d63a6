package origin

import (
	"strings"
	"testing"
)

func TestParseStat(t *testing.T) {
	rest := " S 80 1 1 34819" + strings.Repeat(" 0", 14) + " 900 0\n"
	tests := []struct {
		name, text string
		want       stat
		ok         bool
	}{
		{"plain", "90 (passwd)" + rest, stat{"passwd", 'S', 80, 34819, 900}, true},
		{"name that lies", "90 (a) S 1 1 1 0 (b\n)" + rest, stat{"a) S 1 1 1 0 (b\n", 'S', 80, 34819, 900}, true},
		{"negative terminal", "90 (x)" + strings.Replace(rest, "34819", "-2146959360", 1), stat{"x", 'S', 80, 0x80080000, 900}, true},
		{"cut short", "90 (passwd) S 80 1 1", stat{}, false},
		{"no name", "90 passwd", stat{}, false},
		{"parentheses the wrong way", "90 )(", stat{}, false},
		{"not a number", "90 (x)" + strings.Replace(rest, "900", "x", 1), stat{}, false},
		{"empty", "", stat{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, ok := parseStat(tt.text); got != tt.want || ok != tt.ok {
				t.Errorf("got %+v, %v", got, ok)
			}
		})
	}
}

func TestTerminalName(t *testing.T) {
	tests := map[uint32]string{
		0:                              "",
		136<<8 | 3:                     "pts/3",
		136<<8 | 0x2c | 0x100<<12:      "pts/300",
		4<<8 | 1:                       "tty1",
		4 << 8:                         "", // /dev/tty0 is the terminal in front, not a name of one
		4<<8 | 64:                      "ttyS0",
		5<<8 | 1:                       "console",
		5 << 8:                         "", // /dev/tty: not the name of one
		229 << 8:                       "hvc0",
		204<<8 | 64:                    "ttyAMA0",
		204<<8 | 16:                    "",
		250<<8 | 1:                     "",
		136<<8 | 0xff | 0xfff00<<12&^0: "pts/1048575",
	}
	for device, want := range tests {
		if got := terminalName(device); got != want {
			t.Errorf("%#x is %q, want %q", device, got, want)
		}
	}
}

func TestTerminalOfLink(t *testing.T) {
	tests := map[string]string{
		"/dev/pts/3": "pts/3", "/dev/tty1": "tty1", "/dev/ttyS0": "ttyS0", "/dev/console": "console",
		"/dev/null": "", "pipe:[1]": "", "/dev/pts/3 (deleted)": "", "/tmp/dev/pts/3": "", "/dev/pts/../x": "", "": "",
	}
	for link, want := range tests {
		if got := terminalOfLink(link); got != want {
			t.Errorf("%q is %q, want %q", link, got, want)
		}
	}
}

func TestParseID(t *testing.T) {
	for text, want := range map[string]int{"0": 0, "1000\n": 1000, "4294967294": 4294967294} {
		if got := parseID(text); got == nil || *got != want {
			t.Errorf("%q is %v", text, got)
		}
	}
	for _, text := range []string{"", "4294967295", "-1", "4294967296", "x"} {
		if got := parseID(text); got != nil {
			t.Errorf("%q is %d, want unknown", text, *got)
		}
	}
}

func TestParseCgroup(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"v2", "0::/system.slice/128T.service\n", "/system.slice/128T.service"},
		{"hybrid", "12:pids:/x\n1:name=systemd:/system.slice/a.service\n0::/\n", "/system.slice/a.service"},
		{"hybrid, other order", "0::/other\n1:name=systemd:/system.slice/a.service\n", "/system.slice/a.service"},
		{"a container's v2 under the host's v1", "9:name=systemd:/\n8:pids:/\n0::/system.slice/128T.service\n", "/system.slice/128T.service"},
		{"outside the container", "9:name=systemd:/../..\n0::/commands\n", "/commands"},
		{"v1 without systemd", "4:memory:/docker/1\n", ""},
		{"deleted", "0::/system.slice/a.service (deleted)\n", "/system.slice/a.service"},
		{"colon in the path", "0::/system.slice/a:b.service\n", "/system.slice/a:b.service"},
		{"garbage", "x\n:\n", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := parseCgroup(tt.text); got != tt.want {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestUnitOf(t *testing.T) {
	tests := []struct{ cgroup, unit, session string }{
		{"/system.slice/128T.service", "128T.service", ""},
		{"/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service", ""},
		{"/user.slice/user-1000.slice/session-3.scope", "session-3.scope", "3"},
		{"/user.slice/user-1000.slice/session-c1.scope", "session-c1.scope", "c1"},
		{"/user.slice/user-1000.slice/user@1000.service/app.slice/x.service", "user@1000.service", ""},
		{"/system.slice/docker-1.scope/init", "docker-1.scope", ""},
		{"/system.slice/a.service/sub/session-1.scope", "a.service", ""},
		{"/init.scope", "init.scope", ""},
		{"/system.slice/_cgroup.service", "cgroup.service", ""},
		{"/", "", ""},
		{"", "", ""},
		{"/../x.service", "", ""},
		{"/docker/1", "", ""},
		{"/system.slice/.service", "", ""},
	}
	for _, tt := range tests {
		if unit, session := unitOf(tt.cgroup); unit != tt.unit || session != tt.session {
			t.Errorf("%q: unit %q, session %q", tt.cgroup, unit, session)
		}
	}
}
