"""What is on disk: the lease file, the identity, the markers, and how files are written."""
