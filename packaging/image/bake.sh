#!/bin/sh
# Bakes Holdfast into the system it runs in: as root in an image's chroot, in a guest that Packer has booted, from
# virt-customize or from mkosi.
#   bake.sh [PACKAGE]     a .deb or .rpm file; without one the package is installed already, or in a repository
# It installs the package and writes the list of links, if there is none: every Ethernet link that gets an address by
# DHCP gets it from Holdfast. It starts nothing, touches no interface and changes no file of the network managers.
set -eu
package=${1:-}
say() { echo "bake.sh: $*" >&2; }

install_package() {
    if command -v apt-get >/dev/null; then
        DEBIAN_FRONTEND=noninteractive apt-get --quiet --yes --no-install-recommends install "$1"
    elif command -v dnf >/dev/null; then
        dnf --assumeyes install "$1"
    else
        yum --assumeyes install "$1"
    fi
}

if [ $# -gt 0 ]; then
    case $package in /*) ;; *) package=$PWD/$package ;; esac
    [ -f "$package" ] || { say "there is no file $package"; exit 1; }
    install_package "$package"
elif ! [ -x /usr/bin/holdfast ]; then
    install_package holdfast
fi

[ -e /etc/holdfast/links ] || printf 'en*\neth*\n' >/etc/holdfast/links
if command -v restorecon >/dev/null; then
    restorecon -R /etc/holdfast || say "restorecon failed; relabel the image"
fi
