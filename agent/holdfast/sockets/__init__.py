"""Packet, UDP and ARP sockets, and the filters on them."""
