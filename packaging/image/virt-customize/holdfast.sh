#!/bin/sh
# Bakes Holdfast into a disk image with libguestfs:
#   holdfast.sh IMAGE PACKAGE     PACKAGE: a .deb or .rpm file of the image's family
# Afterwards the image is cleaned as for a template, and checked; a finding is an error.
set -eu
if [ $# -ne 2 ]; then
    echo "usage: holdfast.sh IMAGE PACKAGE" >&2
    exit 2
fi
image=$1 package=$2 name=$(basename "$2")
case $name in
    *[!A-Za-z0-9._+~-]*) echo "holdfast.sh: rename the package, its name has unusual characters: $name" >&2; exit 2 ;;
esac
here=$(dirname "$(realpath "$0")")

virt-customize --add "$image" \
    --copy-in "$package:/var/tmp" \
    --copy-in "$here/../bake.sh:/var/tmp" \
    --run-command "sh /var/tmp/bake.sh /var/tmp/$name" \
    --delete "/var/tmp/$name" --delete /var/tmp/bake.sh

# virt-sysprep's dhcp-client-state removes the leases of other clients; ours goes by its own command, as everywhere.
virt-sysprep --add "$image" \
    --run-command 'holdfast clean' \
    --run-command 'holdfast doctor --image /'
