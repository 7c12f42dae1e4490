"""What ``holdfast doctor`` looks at: the files of an image (``image``), or a running guest (``live``)."""
