"""The benchmark: Holdfast beside other DHCP clients."""
