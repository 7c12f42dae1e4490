#!/bin/sh
# For the operator of a cloud: vendor-data.yaml as a script. cloud-init runs it once in each guest, before the
# user's own scripts and whatever the user-data says. Change only the two lines marked "# edit".
url=https://packages.example.org/holdfast_0.2.0-1_all.deb  # edit: where the package is; ends in .deb or .rpm
sha256=0000000000000000000000000000000000000000000000000000000000000000  # edit: what `sha256sum` prints for it

set -eu
say() { echo "holdfast-setup: $*" >&2; }
fail() { say "FAILED: $*"; exit 1; }

case $url in *.deb | *.rpm) ;; *) fail "the URL ends neither in .deb nor in .rpm: $url" ;; esac
folder=$(mktemp -d) || fail "there is no room for the package; nothing was changed"
trap 'rm -rf "$folder"' EXIT
package=$folder/${url##*/}

# Five tries, each of five minutes at most; python3 is there because cloud-init is. Only a read() of everything
# detects a download that was cut short.
fetch='import sys, urllib.request as web
with web.urlopen(sys.argv[1], timeout=30) as answer, open(sys.argv[2], "wb") as file:
    file.write(answer.read())'
try=1
until timeout 300 python3 -I -c "$fetch" "$url" "$package" 2>"$folder/why"; do
  why=$(tail -n 1 "$folder/why" | tr -cd '[:print:]')  # the server's words, on a console
  say "try $try of 5: $url: ${why:=not done after 300 s}"
  [ "$try" -lt 5 ] || fail "$url cannot be fetched ($why); nothing was changed"
  sleep $((2 * try))
  try=$((try + 1))
done
got=$(sha256sum <"$package" | cut -d ' ' -f 1)
[ "$got" = "$sha256" ] || fail "$url has SHA-256 $got, and not $sha256; nothing was changed"

install() {
  case $package in
    *.deb) DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 --quiet --yes \
             --no-install-recommends --allow-downgrades install "$package" ;;
    *.rpm) if command -v dnf; then dnf --assumeyes install "$package"; else yum --assumeyes install "$package"; fi ;;
  esac
}
# A fresh image may have no package lists yet; they are needed only when something beside Python is missing.
install || { case $package in *.deb) apt-get --quiet update && install ;; *) false ;; esac } ||
  fail "the package was not installed; the reason is above"

# The link of the default route: of several the one with the lowest metric, then the first by name. Without one,
# the first link with an address from DHCP.
iface=$(ip -4 route show default | sed -n 's/.* dev \([^ ]*\)\(.* metric \([0-9]*\)\)*.*/0\3 \1/p' |
  sort -k 1,1n -k 2V | sed -n '1s/.* //p')
[ -n "$iface" ] || iface=$(ip -4 -o address show dynamic | sed -n 's/^[0-9]*: *\([^ ]*\) .*/\1/p' | head -n 1)
[ -n "$iface" ] || fail "no link has an address from DHCP; Holdfast is installed and serves nothing"
if holdfast status "$iface" >/dev/null 2>&1; then say "Holdfast serves $iface already"; exit 0; fi
holdfast takeover "$iface" ||
  fail "Holdfast did not take $iface over; its former client serves it. See: holdfast takeover $iface --dry-run"
say "Holdfast serves $iface now; back to the former client with: holdfast handback $iface"
