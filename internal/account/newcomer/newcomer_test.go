package newcomer

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// system creates a root with these files and the folders that useradd needs.
func system(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	all := map[string]string{"etc/passwd": "root:x:0:0:::\n", "etc/group": "root:x:0:\ncrew:x:1:\n", "home/.keep": ""}
	for name, text := range files {
		all[name] = text
	}
	for name, text := range all {
		path := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestBefore(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root owns a folder of root's")
	}
	files := map[string]string{
		"etc/sudoers":                         "# joe may not\nUser_Alias CREW = ada, bob\n%ops ALL=(ALL) /usr/bin/true\n",
		"etc/sudoers.d/more":                  "carl ALL=(ALL) ALL\n",
		"usr/share/polkit-1/rules.d/50.rules": "polkit.addRule(function(action, subject) { if (subject.isInGroup(\"netops\")) return polkit.Result.YES; });\n",
		"usr/lib/udev/rules.d/50-x.rules":     "KERNEL==\"sd*\", GROUP=\"spinning\", MODE=\"0660\"\n",
		"usr/share/dbus-1/system.d/x.conf":    "<policy group=\"busmen\">\n<allow send_destination='x'/>\n",
		"usr/lib/sysusers.d/x.conf":           "g gadget - -\nu! daemonic - \"x\"\nm daemonic helpers\n",
		"usr/lib/systemd/system/x.service":    "[Service]\nUser=served\n",
		"etc/pam.d/su":                        "auth required pam_wheel.so trust group=trusted\n",
		"etc/ssh/sshd_config":                 "AllowGroups sshers\n",
		"usr/share/base-passwd/group.master":  "ancient:*:77:\n",
		"home/dave/.ssh/authorized_keys":      "ssh-ed25519 x\n",
		"var/mail/erin":                       "",
		"var/spool/cron/crontabs/frank":       "* * * * * true\n",
		"var/lib/systemd/linger/gina":         "",
		"var/lib/AccountsService/users/hank":  "",
		"etc/subuid":                          "ivan:100000:65536\n",
		"run/sudo/ts/jane":                    "",

		"etc/systemd/system/appliance.service":         "[Service]\nDynamicUser=yes\nExecStart=/usr/bin/true\n",
		"usr/lib/systemd/system/many@.service":         "[Service]\nDynamicUser = 1\n",
		"run/systemd/system/dropped.service.d/10.conf": "[Service]\nDynamicUser=true\n",
		"usr/lib/systemd/system/static.service":        "[Service]\nDynamicUser=no\nUser=root\n",
		"etc/systemd/system/x.service.d/10.conf":       "[Service]\nUser=overridden\n",
		"etc/systemd/system/service.d/10.conf":         "[Service]\nSupplementaryGroups=everyones\n",
		"run/systemd/system/y.service":                 "[Service]\nGroup=running\n",
		"usr/local/lib/systemd/system/z.socket":        "[Socket]\nSocketGroup=local\n",
		"usr/lib/tmpfiles.d/x.conf":                    "d /run/x 0750 keeper keepers -\n#d /run/y 0750 comment - -\n",
		"etc/crontab":                                  "SHELL=/bin/sh\n17 * * * *\tticker cd / && run\n",
		"etc/cron.d/x":                                 "@reboot starter run\n",
		"etc/cron.allow":                               "allowed\n",
		"etc/logrotate.d/x":                            "/var/log/x {\n\tsu rotator adm\n\tcreate 0640 logger adm\n}\n",
		"usr/lib/pam.d/x":                              "auth required pam_succeed_if.so user ingroup vendored user notingroup second\nauth required pam_succeed_if.so user in third:fourth\n",
		"etc/ssh/sshd_config.d/keys.conf":              "AuthorizedKeysFile .ssh/authorized_keys /etc/ssh/keys/%u\nAuthorizedPrincipalsFile /etc/ssh/p/%u\n",
		"etc/ssh/keys/kate":                            "ssh-ed25519 x\n",
		"etc/ssh/p/lena":                               "lena\n",
	}
	root := system(t, files)
	if err := os.Symlink("/nowhere", filepath.Join(root, "home/dangling")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"joe": "", "jdeveloper": "", "action": "", "true": "", "udev": "",
		"docker": "of the system", "wheel": "of the system", "www-data": "of the system", "sudo": "of the system",
		"ada": "etc/sudoers", "bob": "etc/sudoers", "ops": "etc/sudoers", "carl": "etc/sudoers.d/more", "netops": "polkit",
		"spinning": "udev", "busmen": "dbus-1", "gadget": "sysusers", "daemonic": "sysusers", "helpers": "sysusers",
		"served": "x.service", "trusted": "pam.d/su", "sshers": "sshd_config", "ancient": "base-passwd",
		"dave": "/home/dave is there already", "dangling": "/home/dangling is there already",
		"erin": "/var/mail/erin", "frank": "crontabs/frank", "gina": "linger/gina", "hank": "AccountsService", "ivan": "subuid", "jane": "sudo/ts",
		"crew": "there is a group crew",

		"appliance": "appliance.service", "many": "many@.service", "dropped": "10.conf", "static": "", "overridden": "x.service.d", "everyones": "service.d",
		"running": "y.service", "local": "z.socket", "keeper": "tmpfiles.d", "keepers": "tmpfiles.d", "comment": "", "ticker": "crontab", "run": "",
		"starter": "cron.d", "allowed": "cron.allow", "rotator": "logrotate.d", "logger": "logrotate.d", "vendored": "pam.d", "second": "pam.d", "fourth": "pam.d",
		"kate": "/etc/ssh/keys/kate", "lena": "/etc/ssh/p/lena",
	} {
		got, err := Newcomer{Name: name, Home: "/home/" + name}.Before(root)
		if err != nil || (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, %v, want %q", name, got, err, want)
		}
	}
	if err := os.Chmod(filepath.Join(root, "home"), 0o777); err != nil {
		t.Fatal(err)
	}
	if got, err := (Newcomer{Name: "joe", Home: "/home/joe"}).Before(root); err != nil || !strings.Contains(got, "users other than root may write") {
		t.Errorf("in a folder of everybody's: %q, %v", got, err)
	}
	// A file that cannot be read is an error, not "nothing".
	if err := errors.Join(os.Chmod(filepath.Join(root, "home"), 0o755), os.Remove(filepath.Join(root, "etc/sudoers")), os.Mkdir(filepath.Join(root, "etc/sudoers"), 0o755)); err != nil {
		t.Fatal(err)
	}
	if got, err := (Newcomer{Name: "joe", Home: "/home/joe"}).Before(root); err == nil {
		t.Errorf("with sudoers a folder: %q", got)
	}
}

// An account with a uid that another account had would own that account's files.
func TestInherits(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root gives files away")
	}
	const uid = 54321
	for _, left := range []string{"", "tmp/secret", "var/spool/cron/atjobs/a1", "home/other", "dev/shm/x", "etc/subuid"} {
		root := system(t, map[string]string{"home/joe/.profile": "", "var/mail/joe": ""})
		for _, ours := range []string{"home/joe", "var/mail/joe"} {
			if err := os.Chown(filepath.Join(root, ours), uid, uid); err != nil {
				t.Fatal(err)
			}
		}
		if left != "" {
			path := filepath.Join(root, left)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte("54321:100000:65536\n"), 0o644)); err != nil {
				t.Fatal(err)
			}
			if left != "etc/subuid" {
				if err := os.Chown(path, uid, uid); err != nil {
					t.Fatal(err)
				}
			}
		}
		got, err := Newcomer{Name: "joe", Home: "/home/joe"}.Inherits(root, uid)
		if err != nil || !strings.Contains(got, left) || (left == "") != (got == "") {
			t.Errorf("%q left: %q, %v", left, got, err)
		}
	}
}
