#!/bin/sh
# A shell provisioner for Packer: bakes Holdfast into the machine that Packer has booted, and makes it a template.
# Packer copies the package and bake.sh into /var/tmp first; see build.pkr.hcl. The machine keeps the DHCP client
# it has until it is shut down: nothing of Holdfast is started here.
set -eu
package=
for file in /var/tmp/holdfast*.deb /var/tmp/holdfast*.rpm; do
    [ -f "$file" ] || continue
    [ -z "$package" ] || package=/dev/null
    package=${package:-$file}
done
if ! [ -f "$package" ]; then
    echo "holdfast.sh: not exactly one package of Holdfast in /var/tmp" >&2
    exit 1
fi
sh /var/tmp/bake.sh "$package"
rm -f /var/tmp/bake.sh "$package"
if command -v cloud-init >/dev/null; then
    cloud-init clean --logs --machine-id # calls `holdfast clean` too
else
    holdfast clean
    : >/etc/machine-id
fi
holdfast doctor --image /
