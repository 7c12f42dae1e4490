"""Beside another DHCP client: what becomes of its renewals, and a broadcast of those that nobody answers."""
