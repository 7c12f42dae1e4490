"""Holdfast: a DHCPv4 client for virtual machines that never lets go of a valid lease."""

__version__ = "0.2.0"
