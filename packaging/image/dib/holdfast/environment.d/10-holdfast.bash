# A .deb or .rpm file, or its URL; empty: the package is in one of the image's repositories.
export DIB_HOLDFAST_PACKAGE=${DIB_HOLDFAST_PACKAGE:-}
# What sha256sum prints for it; needed with a URL.
export DIB_HOLDFAST_SHA256=${DIB_HOLDFAST_SHA256:-}
