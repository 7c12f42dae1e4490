"""What ``holdfast doctor`` looks at: an image's files (``installed``, ``rivals``, ``leftovers``), a live guest (``live``)."""
