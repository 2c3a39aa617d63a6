#!/bin/sh
# Switches the profiles of folder $1 on and off with Debian's own tool, in a private mount namespace on copies below $2 of
# all that the tool writes. $3 is what pam_pwquality's profile is to be, "-" for none. Prints common-password and then
# common-auth as they are with the profiles on; fails unless /etc/pam.d is restored to the byte.
set -eu
profiles=$1 copies=$2 pwquality=$3
export DEBIAN_FRONTEND=noninteractive
for folder in /etc/pam.d /var/lib/pam /usr/share/pam-configs /var/cache/debconf; do
	mkdir -p "$copies$folder"
	cp -a "$folder/." "$copies$folder/"
	mount --bind "$copies$folder" "$folder"
done
rm -f /usr/share/pam-configs/shadowsync* /usr/share/pam-configs/pwquality
[ "$pwquality" = - ] || cp "$pwquality" /usr/share/pam-configs/pwquality
pam-auth-update --package # whatever the machine had pending is settled before
cp -a /etc/pam.d "$copies/before"

cp "$profiles"/* /usr/share/pam-configs/
pam-auth-update --package
diff -r "$copies/before" /etc/pam.d # installing the profiles switches nothing on
pam-auth-update --enable shadowsync shadowsync-judge
cat /etc/pam.d/common-password
echo '# and for logins'
cat /etc/pam.d/common-auth
pam-auth-update --disable shadowsync shadowsync-judge
diff -r "$copies/before" /etc/pam.d
pam-auth-update --package
diff -r "$copies/before" /etc/pam.d # and they do not come back by themselves
