"""One file for each DHCP client and manager that can be taken over."""
