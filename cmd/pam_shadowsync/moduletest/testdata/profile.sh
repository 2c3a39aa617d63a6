#!/bin/sh
# Switches the profiles of folder $1 on and off with Debian's own tool. It works in a private mount namespace, on copies
# below $2 of everything that the tool writes. $3 is the profile of pam_pwquality, or "-" for none. Prints common-password
# and common-auth as they are with the profiles on. Fails if /etc/pam.d is not restored byte for byte.
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
pam-auth-update --package # first apply changes that the machine had pending
cp -a /etc/pam.d "$copies/before"

cp "$profiles"/* /usr/share/pam-configs/
pam-auth-update --package
diff -r "$copies/before" /etc/pam.d # installing the profiles does not switch them on
pam-auth-update --enable shadowsync shadowsync-judge
cat /etc/pam.d/common-password
echo '# and for logins'
cat /etc/pam.d/common-auth
pam-auth-update --disable shadowsync shadowsync-judge
diff -r "$copies/before" /etc/pam.d
pam-auth-update --package
diff -r "$copies/before" /etc/pam.d # the profiles stay off
