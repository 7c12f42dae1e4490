"""Makes the packages: ``python -m holdfast_build``, which is what ``./dev build`` calls. See docs/packaging.md."""
