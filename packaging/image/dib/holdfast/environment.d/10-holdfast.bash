# A .deb or .rpm file, or its URL; empty: the package is in one of the image's repositories.
export DIB_HOLDFAST_PACKAGE=${DIB_HOLDFAST_PACKAGE:-}
# What sha256sum prints for it; needed with a URL.
export DIB_HOLDFAST_SHA256=${DIB_HOLDFAST_SHA256:-}
# Names and patterns of the links that it serves, where they get an address by DHCP.
export DIB_HOLDFAST_LINKS=${DIB_HOLDFAST_LINKS:-en* eth*}
