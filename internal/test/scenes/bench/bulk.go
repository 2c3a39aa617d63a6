package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// crowd is how many accounts are changed at once.
const crowd = 10_000

// bulk measures the setting of passwords: ten thousand from a list, compared with chpasswd(8),
// which with -c also hashes by itself and replaces the file once; and a single one, with and
// without the daemon, compared with chpasswd through PAM.
func bulk(ctx context.Context) error {
	heading("passwords set by the tool against chpasswd")
	b, err := crowded(ctx, machine.Bare)
	if err != nil {
		return err
	}
	defer b.Close()
	// A round with yescrypt takes minutes, so that one round averages by itself.
	for _, m := range []struct {
		method string
		rounds int
	}{{"SHA512", 3}, {"YESCRYPT", 1}} {
		if err := b.bulkBy(ctx, m.method, m.rounds); err != nil {
			return err
		}
	}
	if _, err := b.sh(ctx, `sed -i 's/^accounts.*/accounts = ["u1", "u2"]/' /etc/shadowsync/shadowsync.toml && shadowsync sync --quiet`); err != nil {
		return err
	}
	if err := b.one(ctx, "u1", "of 10,000"); err != nil {
		return err
	}
	few, err := stage(ctx, sqliteStore)
	if err != nil {
		return err
	}
	defer few.Close()
	return few.one(ctx, "admin", "of few")
}

// crowded returns a machine with ten thousand accounts that the appliance manages too.
func crowded(ctx context.Context, layer machine.Layer) (*bench, error) {
	b, err := stageOn(ctx, layer, jsonStore)
	if err != nil {
		return nil, err
	}
	_, err = b.sh(ctx, fmt.Sprintf(`set -e
systemctl stop 128T.service shadowsync.service
seq 0 %[1]d | awk '{ print "u" $1 ":x:" 20000 + $1 ":20000::/:/bin/sh" }' >> /etc/passwd
hash=$(awk -F: '$1 == "admin" { print $2 }' /etc/shadow)
seq 0 %[1]d | awk -v h="$hash" '{ print "u" $1 ":" h ":19000:0:99999:7:::" }' >> /etc/shadow
seq 0 %[1]d | awk '{ print "u" $1 ":Velvet-" $1 "-quorum" }' > /root/list
chmod 600 /root/list
names=$(seq 0 %[1]d | sed 's/.*/"u&"/' | paste -sd,)
cat > /etc/shadowsync/shadowsync.toml <<END
[[application]]
name = "conductor"
unit = "128T.service"
accounts = [$names]
[application.store]
driver = "sqlite"
END
shadowsync setup --first os --quiet
systemctl stop shadowsync.service shadowsync.socket shadowsync-operator.socket`, crowd-1))
	return b, err
}

// seconds measures a script on the machine.
func (b *bench) seconds(ctx context.Context, script string) (float64, error) {
	out, err := b.sh(ctx, "a=$(date +%s%N); "+script+" >/dev/null; r=$?; z=$(date +%s%N); echo $(( (z - a) / 1000 )); exit $r")
	if err != nil {
		return 0, err
	}
	us, err := strconv.ParseFloat(strings.TrimSpace(out), 64)
	return us / 1e6, err
}

// bulkBy runs the ways in turn, so that a machine that becomes slower affects all of them. The
// comparison is fair: chpasswd -c does not check passwords.
func (b *bench) bulkBy(ctx context.Context, method string, rounds int) error {
	// The machine's method comes from its pam_unix line, before login.defs.
	if _, err := b.sh(ctx, fmt.Sprintf("sed -i 's/\\(pam_unix.so.*\\) \\(yescrypt\\|sha512\\)/\\1 %s/' /etc/pam.d/common-password", strings.ToLower(method))); err != nil {
		return err
	}
	means := []string{
		"chpasswd -c " + method + " < /root/list",
		"shadowsync user set password --from /root/list --quiet --no-policy",
		"shadowsync user set password --from /root/list --quiet",
	}
	times := make([][]float64, len(means))
	for range rounds {
		for i, script := range means {
			t, err := b.seconds(ctx, script)
			if err != nil {
				return err
			}
			times[i] = append(times[i], t)
			if _, err := b.sh(ctx, "shadowsync sync --quiet"); err != nil { // takes over what chpasswd changed
				return err
			}
		}
	}
	theirs, ours, judged := quantile(times[0], 0.5), quantile(times[1], 0.5), quantile(times[2], 0.5)
	fmt.Printf("%d, %s: %.1f s, chpasswd -c %.1f s: %.2f times as fast, neither judging the passwords; %.1f s with pam_pwquality's judgement of each\n",
		crowd, strings.ToLower(method), ours, theirs, theirs/ours, judged)
	return nil
}

// one measures a single password with both programs in turn. Both use the machine's hash method,
// and pam_pwquality checks the password.
func (b *bench) one(ctx context.Context, account, among string) error {
	times, err := b.times(ctx, fmt.Sprintf(`
systemctl stop shadowsync.service shadowsync.socket shadowsync-operator.socket 2>/dev/null
for part in without with; do
  [ $part = with ] && systemctl start shadowsync.socket shadowsync-operator.socket shadowsync.service
  for i in $(seq 20); do
    a=$(date +%%s%%N); echo Velvet-4711-quorum | shadowsync user set password %[1]s --stdin --quiet; z=$(date +%%s%%N)
    echo $part $(( (z - a) / 1000 ))
    a=$(date +%%s%%N); echo %[1]s:Velvet-4711-quorum | chpasswd >/dev/null 2>&1; z=$(date +%%s%%N)
    echo chpasswd-$part $(( (z - a) / 1000 ))
  done
done`, account))
	if err != nil {
		return err
	}
	for _, part := range []string{"without", "with"} {
		ours, theirs := quantile(times[part], 0.5), quantile(times["chpasswd-"+part], 0.5)
		fmt.Printf("one %s, %s the daemon: %.1f ms, chpasswd %.1f ms (medians of 20): ratio %.2f\n",
			among, part, float64(ours)/1000, float64(theirs)/1000, float64(ours)/float64(theirs))
	}
	return nil
}
