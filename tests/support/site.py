"""Two namespaces and the cable between them: a server behind a bridge, a client with ``hf0``.

The server's address is on the bridge ``br0``, and the faults are nftables rules at the ingress of its
port. That way they also hold for servers that read packet sockets: those sit on the bridge, behind the
rules (a packet socket on the port itself would see a packet before any rule does).
"""

from __future__ import annotations

from ipaddress import IPv4Interface

from holdfast_lab.testbed.netns import Namespace

CLIENT = "hf0"
BRIDGE = "br0"
PORT = "port0"


class Site:
    """Made by a test, closed by it. The server's side is ``10.77.0.1/24`` unless told otherwise."""

    def __init__(self, address: str = "10.77.0.1/24", *, private_files: bool = True) -> None:
        """``private_files`` False: the client's files are the machine's, for a cage that brings its own."""
        self.address = IPv4Interface(address)
        self.server = Namespace("server")
        self.client = Namespace("client", private_files=private_files)
        self.on_server("ip", "link", "add", BRIDGE, "type", "bridge", "forward_delay", "0")
        self.on_server("ip", "addr", "add", address, "dev", BRIDGE)
        # A bridge is as awake as its ports, and takes a moment to wake up: the first answer would be lost in it. What
        # the anchor is tied to must not answer ARP for the server's address: unicast would then arrive there.
        self.on_server("ip", "link", "add", "anchor", "type", "veth", "peer", "name", "ground")
        self.on_server("ip", "link", "set", "ground", "arp", "off", "up")
        self.on_server("ip", "link", "set", "anchor", "master", BRIDGE, "up")
        self.on_server("ip", "link", "set", BRIDGE, "up")
        self._others: list[Namespace] = []
        self.plug()

    def on_server(self, *command: str) -> str:
        """Run a program on the server's side; what it printed."""
        return self.server.output(command)

    def on_client(self, *command: str) -> str:
        """Run a program on the client's side; what it printed."""
        return self.client.output(command)

    def plug(self, mac: str | None = None) -> None:
        """Make the cable, and with it the client's interface.

        Checksum offload stays on, as in a virtual machine: servers that answer through a UDP socket
        send packets whose checksum is not filled in. The interface appears with its ``mac``: a daemon that
        waits for it would otherwise get a lease for the one it had for a moment.
        """
        peer = ["peer", "name", "peer0", *(["address", mac] if mac else [])]
        self.on_server("ip", "link", "add", PORT, "type", "veth", *peer)
        self.on_server("ip", "link", "set", PORT, "master", BRIDGE, "up")
        self.on_server("ip", "link", "set", "peer0", "netns", self.client.path, "name", CLIENT)
        self.on_client("ip", "link", "set", CLIENT, "up")

    def add_machine(self, address: str) -> Namespace:
        """Another machine at the server's bridge, with ``address`` (with its prefix) on its ``eth0``."""
        machine = Namespace("other")
        self._others.append(machine)
        port = f"other{len(self._others)}"
        self.server.run(lambda: self.server.rtnl.add_veth(port, "eth0", machine.fd))
        self.on_server("ip", "link", "set", port, "master", BRIDGE, "up")
        machine.output(["ip", "addr", "add", address, "dev", "eth0"])
        machine.output(["ip", "link", "set", "eth0", "up"])
        return machine

    def unplug(self) -> None:
        """Remove the cable, and with it the client's interface."""
        self.on_server("ip", "link", "del", PORT)

    def client_mac(self) -> str:
        """The hardware address of the client's interface."""
        fields = self.on_client("ip", "-o", "link", "show", CLIENT).split()
        return fields[fields.index("link/ether") + 1]

    def carrier(self, on: bool) -> None:
        """Pull the cable at the server's port, or put it back: the client's carrier goes and comes."""
        self.on_server("ip", "link", "set", PORT, "up" if on else "down")

    def drop_unicast(self) -> None:
        """Nothing that is sent to the server's own address reaches its DHCP port."""
        self._drop(f"ip daddr {self.address.ip}")

    def drop_addressed(self) -> None:
        """Nothing reaches the DHCP port but what comes from 0.0.0.0, as on some virtual networks."""
        self._drop("ip saddr != 0.0.0.0")

    def drop_all(self) -> None:
        """Nothing reaches the DHCP port."""
        self._drop("")

    def heal(self) -> None:
        """Take the rules away."""
        self.on_server("nft", "delete", "table", "netdev", "faults")

    def dropped(self) -> int:
        """How many packets the rules have dropped."""
        words = self.on_server("nft", "list", "table", "netdev", "faults").split()
        return int(words[words.index("packets") + 1])

    def close(self) -> None:
        """The namespaces, and everything in them, are gone."""
        for machine in self._others:
            machine.close()
        self.client.close()
        self.server.close()

    def _drop(self, match: str) -> None:
        self.on_server("nft", "add", "table", "netdev", "faults")
        hook = f"{{ type filter hook ingress device {PORT} priority 0; policy accept; }}"
        self.on_server("nft", f"add chain netdev faults client {hook}")
        self.on_server("nft", f"add rule netdev faults client {match} udp dport 67 counter drop")
