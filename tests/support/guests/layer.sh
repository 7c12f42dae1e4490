#!/bin/sh
# Installs more Debian packages on top of the guests' tree, which stays as it is.
#   layer.sh TREE WORK ARCHIVES SOURCES APTCONF PACKAGE...
# WORK is an empty folder; afterwards WORK/upper has what was added. ARCHIVES keeps the packages for the next time.
# Runs as root in a mount namespace of its own.
set -eu
tree=$1 work=$2 archives=$3 sources=$4 aptconf=$5
shift 5
root=$work/root

mkdir "$work/upper" "$work/work" "$root"
mount -t overlay -o "lowerdir=$tree,upperdir=$work/upper,workdir=$work/work" overlay "$root"
mount --bind "$archives" "$root/var/cache/apt/archives"
mount -t proc proc "$root/proc"
cp "$sources" "$root/etc/apt/sources.list"
cp "$aptconf" "$root/etc/apt/apt.conf.d/00guests"
cp /etc/resolv.conf "$root/etc/resolv.conf"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"

export DEBIAN_FRONTEND=noninteractive LC_ALL=C
chroot "$root" apt-get update --quiet
chroot "$root" apt-get install --yes --quiet --no-install-recommends -o APT::Sandbox::User=root \
    -o Dpkg::Options::=--force-unsafe-io -o APT::Keep-Downloaded-Packages=true "$@"

umount "$root/proc" "$root/var/cache/apt/archives"
rm -f "$root/usr/sbin/policy-rc.d" "$root/etc/apt/apt.conf.d/00guests" "$root/etc/resolv.conf"
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin "$root"/usr/share/doc/* "$root"/usr/share/man/* \
    "$root"/usr/share/locale/*
: >"$root/etc/apt/sources.list"
