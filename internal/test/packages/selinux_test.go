package packages

import (
	"strings"
	"testing"
)

// selinuxSource is what the RPM has of the SELinux module.
const selinuxSource = "../../admin/packages/rpm/selinux"

// fedoraTypes are types that the module names and that only Fedora's policy has: here they let its rules about them count.
const fedoraTypes = `policy_module(fedora, 1.0)
type unconfined_service_t;
domain_type(unconfined_service_t)
type sshd_session_t;
domain_type(sshd_session_t)
`

// link is a script that compiles the module after an edit, links it into Debian's reference policy, and asks the
// policy that results. No kernel loads it: nothing is enforced.
func link(edit string, ask ...string) string {
	return `cp -r . /tmp/module && cd /tmp/module && sed -i '` + edit + `' shadowsync.te && cat >fedora.te <<'END'
` + fedoraTypes + `END
make -s -f /usr/share/selinux/devel/Makefile shadowsync.pp fedora.pp && semodule -n -s default -i shadowsync.pp -i fedora.pp && echo linked
policy=$(echo /etc/selinux/default/policy/policy.*)
contexts=/etc/selinux/default/contexts/files/file_contexts
` + strings.Join(ask, "\n")
}

// allowed are what the PAM module does, and what systemd does for the broker: source, target, class, permission.
var allowed = [][4]string{
	{"passwd_t", "shadowsync_runtime_t", "sock_file", "write"},
	{"passwd_t", "unconfined_service_t", "unix_stream_socket", "connectto"},
	{"passwd_t", "tmpfs_t", "file", "write"},
	{"passwd_t", "shadowsync_runtime_t", "file", "create"},
	{"passwd_t", "shadowsync_var_lib_t", "lnk_file", "create"},
	{"passwd_t", "shadowsync_var_lib_t", "dir", "create"},
	{"local_login_t", "shadowsync_runtime_t", "file", "read"},
	{"sshd_t", "shadowsync_var_lib_t", "file", "read"},
	{"sshd_session_t", "unconfined_service_t", "unix_stream_socket", "connectto"},
	{"init_t", "shadowsync_runtime_t", "sock_file", "create"},
	{"init_t", "shadowsync_var_lib_t", "dir", "create"},
}

// The SELinux module compiles, Debian's policy takes it, and the result allows what its comments say.
func TestSELinux(t *testing.T) {
	t.Parallel()
	query := "echo question; sesearch --allow -s %s -t %s -c %s -p %s $policy"
	var ask []string
	for _, rule := range allowed {
		ask = append(ask, strings.NewReplacer("-s %s", "-s "+rule[0], "-t %s", "-t "+rule[1], "-c %s", "-c "+rule[2], "-p %s", "-p "+rule[3]).Replace(query))
	}
	ask = append(ask, "echo question; sesearch --allow -s rsync_t -t shadowsync_var_lib_t -c file -p read $policy", "echo question")
	for _, path := range []string{"/run/shadowsync/root.sock", "/var/lib/shadowsync/notes/n.admin"} {
		ask = append(ask, "selabel_lookup -b file -f $contexts -k "+path)
	}
	said := strings.Split(examineIn(t, selinuxSource, link("", ask...)), "question\n")
	if len(said) != len(allowed)+3 || !strings.Contains(said[0], "linked\n") {
		t.Fatalf("%q", said)
	}
	for i, rule := range allowed {
		if !strings.HasPrefix(said[i+1], "allow ") {
			t.Errorf("%s: not allowed: %s", rule, said[i+1])
		}
	}
	if hashes := said[len(allowed)+1]; strings.Contains(hashes, "allow ") {
		t.Errorf("a server may read the hashes in the state: %s", hashes)
	}
	if labels := said[len(allowed)+2]; !strings.Contains(labels, ":shadowsync_runtime_t:") || !strings.Contains(labels, ":shadowsync_var_lib_t:") {
		t.Errorf("labels: %s", labels)
	}
	for what, edit := range map[string]string{
		"an unknown type":       "s/local_login_t/locl_login_t/",
		"an unknown permission": "s/:dir manage_dir_perms/:dir mange/",
	} {
		if said := examineIn(t, selinuxSource, link(edit)); strings.Contains(said, "linked\n") {
			t.Errorf("%s passes:\n%s", what, said)
		}
	}
}
