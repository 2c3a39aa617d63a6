#!/bin/sh
# Switches the profile $1 on and off with Debian's own tool, in a private mount namespace on copies below $2 of all that
# the tool writes. Prints common-password as it is with the profile on; fails unless /etc/pam.d is restored to the byte.
set -eu
profile=$1 copies=$2
export DEBIAN_FRONTEND=noninteractive
for folder in /etc/pam.d /var/lib/pam /usr/share/pam-configs /var/cache/debconf; do
	mkdir -p "$copies$folder"
	cp -a "$folder/." "$copies$folder/"
	mount --bind "$copies$folder" "$folder"
done
rm -f /usr/share/pam-configs/shadowsync
pam-auth-update --package # whatever the machine had pending is settled before
cp -a /etc/pam.d "$copies/before"

cp "$profile" /usr/share/pam-configs/shadowsync
pam-auth-update --package
diff -r "$copies/before" /etc/pam.d # installing the profile switches nothing on
pam-auth-update --enable shadowsync
cat /etc/pam.d/common-password
pam-auth-update --disable shadowsync
diff -r "$copies/before" /etc/pam.d
pam-auth-update --package
diff -r "$copies/before" /etc/pam.d # and it does not come back by itself
