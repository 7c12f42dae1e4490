"""Real guests for tests: systemd as the first process, a DHCP server, faults and witnesses, in a few lines.

    @pytest.mark.vm
    @pytest.mark.root
    def test_something(guests):                      # the fixture skips, or fails in CI, where guests cannot be made
        with Nspawn("networkd", terms=Terms(lease_time=120, t1=10, t2=20)) as guest:
            guest.wait_booted()                                             # 0.3 s; a Qemu guest needs 20
            address = guest.wait_address()
            probe, events = guest.net.probe(address), guest.net.watch()     # watch: containers only
            guest.push_tree(ROOT / "agent", "/opt/holdfast")                # or push(path, bytes), pull(path)
            done = guest.run(["holdfast", "takeover", "ens3"], timeout=60)  # .returncode .stdout .stderr
            guest.net.drop_unicast()                                        # faults: also drop_all, heal, carrier(on)
            renewal = guest.net.packets.wire.wait_for(lambda seen: seen.broadcast_renewal, 30)
            assert client_id(renewal) == client_id(guest.net.packets.sent("REQUEST")[0])
            probe.finish()
            assert probe.missed(address) == [] and events.events("address-") == []
            guest.reboot()                                                  # power_off, power_on, kill

``Qemu`` has the same interface and is a whole virtual machine: udev, modules, a clock of its own, ``pause``, ``resume``
and ``qmp``; at most two run at once on this machine, a third waits. Variants: "networkd", "netplan", "ifupdown",
"networkmanager" (each configured to use DHCP on ``ens3``) and "bare". With ``seed={"user-data": ...}`` the real
cloud-init runs and configures the network itself (``wait_cloud_init``). ``guest.net.serve_http(folder)`` serves
packages. ``keep_disk`` and ``disk=`` copy a disk to a guest with another MAC and machine-id.
"""

from tests.support.guests.files import File, Files, Link
from tests.support.guests.guest import Completed, Disk, Guest, GuestError
from tests.support.guests.net import PINNED, SERVER, GuestProbe, Net, PacketLog, Terms, client_id
from tests.support.guests.nspawn import Nspawn
from tests.support.guests.place import ROOT, remove_leftovers, why_not
from tests.support.guests.qemu import Qemu
from tests.support.guests.tree import Tree, layer, tree
from tests.support.guests.variants import LINK, Variant

__all__ = [
    "LINK", "PINNED", "ROOT", "SERVER", "Completed", "Disk", "File", "Files", "Guest", "GuestError", "GuestProbe",
    "Link", "Net", "Nspawn", "PacketLog", "Qemu", "Terms", "Tree", "Variant", "client_id", "layer", "remove_leftovers",
    "tree", "why_not",
]
