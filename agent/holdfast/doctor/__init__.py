"""The checks of ``holdfast doctor``: of the files of an image (``image``), or of a running guest (``live``)."""
