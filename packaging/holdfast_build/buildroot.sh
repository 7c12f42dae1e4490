#!/bin/sh
# shellcheck disable=SC2086  # a list of packages is meant to be split
# Makes a Debian 12 root folder with the tools that packages are made and judged with.
#   buildroot.sh TREE ARCHIVES KEYRING SOURCES APTCONF
# Runs as root in a mount namespace of its own. ARCHIVES keeps the packages for the next time.
set -eu
tree=$1 archives=$2 keyring=$3 sources=$4 aptconf=$5

tools="debhelper dh-apparmor dpkg-dev fakeroot groff lintian man-db python3 rpm rpmlint systemd apparmor mandoc
appstream desktop-file-utils"

mirror=$(sed -n 's/^deb \(\[[^]]*\] \)\?\([^ ]*\).*/\2/p' "$sources" | head -n 1)
debootstrap --variant=minbase --cache-dir="$archives" --keyring="$keyring" bookworm "$tree" "$mirror"

mount --bind "$archives" "$tree/var/cache/apt/archives"
mount -t proc proc "$tree/proc"
cp "$sources" "$tree/etc/apt/sources.list"
cp "$aptconf" "$tree/etc/apt/apt.conf.d/00build"
printf '#!/bin/sh\nexit 101\n' >"$tree/usr/sbin/policy-rc.d"
chmod 755 "$tree/usr/sbin/policy-rc.d"

export DEBIAN_FRONTEND=noninteractive LC_ALL=C
chroot "$tree" apt-get update --quiet
chroot "$tree" apt-get install --yes --quiet --no-install-recommends -o APT::Sandbox::User=root \
    -o Dpkg::Options::=--force-unsafe-io -o APT::Keep-Downloaded-Packages=true $tools

umount "$tree/proc" "$tree/var/cache/apt/archives"
rm -rf "$tree"/var/lib/apt/lists/*
mkdir -p "$tree/build"
