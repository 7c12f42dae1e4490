"""Makes the packages: ``python -m holdfast_build``, called by ``./dev build``. docs/packaging.md says what is in them."""
