"""Taking a live interface over from another DHCP client, and giving it back, without an interruption."""
