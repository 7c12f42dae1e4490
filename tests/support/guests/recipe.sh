#!/bin/sh
# shellcheck disable=SC2086  # lists of packages are meant to be split
# Makes one Debian 12 root folder with every network manager that a guest may run, none of them enabled.
#   recipe.sh TREE ARCHIVES KEYRING SOURCES APTCONF
# TREE must not exist; ARCHIVES keeps the packages for the next time; SOURCES is a sources.list whose first
# entry is the main mirror; APTCONF has the machine's proxy. Runs as root in a mount namespace of its own.
set -eu
tree=$1 archives=$2 keyring=$3 sources=$4 aptconf=$5

system="ca-certificates curl dbus initramfs-tools kmod libpam-systemd linux-image-cloud-amd64 lz4 polkitd procps
systemd-sysv udev"
network="dhcpcd ethtool ifupdown iproute2 iputils-ping isc-dhcp-client keepalived netplan.io network-manager nftables
systemd-resolved udhcpc"
programs="cloud-init python3 python3-apt python3-pip python3-venv strace"

mirror=$(sed -n 's/^deb \(\[[^]]*\] \)\?\([^ ]*\).*/\2/p' "$sources" | head -n 1)
debootstrap --variant=minbase --cache-dir="$archives" --keyring="$keyring" \
    bookworm "$tree" "$mirror"

mount --bind "$archives" "$tree/var/cache/apt/archives"
mount -t proc proc "$tree/proc"
mount -t sysfs -o ro sysfs "$tree/sys"
cp "$sources" "$tree/etc/apt/sources.list"
cp "$aptconf" "$tree/etc/apt/apt.conf.d/00guests"
printf '#!/bin/sh\nexit 101\n' >"$tree/usr/sbin/policy-rc.d"
chmod 755 "$tree/usr/sbin/policy-rc.d"

# A small, quickly unpacked initrd that knows nothing but the disk.
mkdir -p "$tree/etc/initramfs-tools/conf.d" "$tree/etc/initramfs-tools/scripts/init-bottom"
printf 'MODULES=list\nCOMPRESS=lz4\n' >"$tree/etc/initramfs-tools/conf.d/guests"
printf 'virtio_pci\nvirtio_blk\next4\n' >"$tree/etc/initramfs-tools/modules"
# What one guest has of its own comes in an archive before this one, and is copied at its first boot.
cat >"$tree/etc/initramfs-tools/scripts/init-bottom/guest" <<'END'
#!/bin/sh
if [ "$1" = prereqs ]; then exit 0; fi
id=$(cat /guest-id 2>/dev/null) || exit 0
[ "$(cat "$rootmnt/var/lib/guest-id" 2>/dev/null)" = "$id" ] && exit 0
cp -a /guest-files/. "$rootmnt/"
echo "$id" >"$rootmnt/var/lib/guest-id"
END
chmod 755 "$tree/etc/initramfs-tools/scripts/init-bottom/guest"

export DEBIAN_FRONTEND=noninteractive LC_ALL=C
chroot "$tree" apt-get update --quiet
# Debian 12's own kernel has no driver for the VM generation ID; the newest that is built for it has.
newer=$(chroot "$tree" apt-cache search --names-only '^linux-image-[0-9.]*[+]deb12-cloud-amd64(-unsigned)?$' |
    sort --version-sort | tail -n 1 | cut -d ' ' -f 1)
chroot "$tree" apt-get install --yes --quiet --no-install-recommends -o APT::Sandbox::User=root \
    -o Dpkg::Options::=--force-unsafe-io -o APT::Keep-Downloaded-Packages=true $system $network $programs $newer

mkdir -p "$tree/etc/systemd/system-preset"
for unit in NetworkManager NetworkManager-dispatcher NetworkManager-wait-online dhcpcd keepalived networking \
    nftables systemd-networkd systemd-network-generator systemd-networkd-wait-online systemd-resolved; do
    chroot "$tree" systemctl disable "$unit.service" || :
    echo "disable $unit.service" >>"$tree/etc/systemd/system-preset/50-guests.preset"
done
echo 'disable systemd-networkd.socket' >>"$tree/etc/systemd/system-preset/50-guests.preset"
chroot "$tree" systemctl disable systemd-networkd.socket || :
# Nothing in a guest may wait for the world outside, or work for itself while a test measures.
chroot "$tree" systemctl mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
    e2scrub_reap.service fstrim.timer systemd-timesyncd.service ModemManager.service getty@tty1.service \
    systemd-pcrphase.service systemd-pcrphase-sysinit.service

umount "$tree/sys" "$tree/proc" "$tree/var/cache/apt/archives"
rm -f "$tree/usr/sbin/policy-rc.d" "$tree/etc/apt/apt.conf.d/00guests" "$tree/etc/resolv.conf" "$tree/etc/hostname"
rm -f "$tree"/etc/network/interfaces "$tree"/etc/ssl/private/* "$tree"/var/lib/dhcp/*
rm -rf "$tree"/var/lib/apt/lists/* "$tree"/usr/share/doc/* "$tree"/usr/share/man/* "$tree"/usr/share/locale/*
: >"$tree/etc/apt/sources.list"
: >"$tree/etc/machine-id"
rm -f "$tree/var/lib/dbus/machine-id"
chroot "$tree" passwd --delete root
