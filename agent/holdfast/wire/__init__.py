"""Bytes <-> meaning. Standard library only; raises WireError and nothing else."""


class WireError(ValueError):
    """A packet that cannot be read, or a message that cannot be written. The text says why."""
