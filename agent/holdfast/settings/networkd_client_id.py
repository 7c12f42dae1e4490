"""The client-id that systemd-networkd sends by default: RFC 4361, of hashes of the machine-id and of the link's name,
or of an IAID= in the place of the latter.

systemd.network(5), ClientIdentifier=, and networkd.conf(5), DUIDType=vendor. The hash is SipHash-2-4
(https://www.aumasson.jp/siphash/siphash.pdf) with the key in systemd's dhcp-identifier.c. Of the link's name, because
that stays while a MAC may change: the first of udev's names by firmware, slot, path and MAC, else the MAC itself.
"""

from __future__ import annotations

from holdfast.settings.model import SettingsError
from holdfast.state.identity import read_line

_KEY = bytes.fromhex("80118cc2fe4a03ee3ed60c6f36391409")
#: IANA's private enterprise number of systemd, in a DUID-EN (RFC 8415 section 11.3).
_DUID_EN = b"\x00\x02" + (43793).to_bytes(4, "big")
#: udev's properties with a name that outlives changes of the hardware, in systemd's order.
_NAMES = ("ID_NET_NAME_ONBOARD", "ID_NET_NAME_SLOT", "ID_NET_NAME_PATH", "ID_NET_NAME_MAC")
#: Bytes of one link's entry in udev's database.
_LIMIT = 64 << 10
_MASK = (1 << 64) - 1


def client_id(
    mac: bytes, ifname: str, machine_id: str, own: int | None = None, root: str = "", *, link_duid: bytes | None = None
) -> bytes:
    """Option 61 as networkd sends it for the link ``ifname``, ``own`` being its IAID=. ``machine_id`` is the file;
    udev's database is below ``root``; ``link_duid`` stands for the machine's DUID. SettingsError when there is neither
    that nor a machine-id."""
    four = iaid(_persistent_name(ifname, root).encode() or mac) if own is None else own.to_bytes(4, "big")
    return b"\xff" + four + (duid(machine_id) if link_duid is None else link_duid)


def link_duid(mac: bytes, htype: int) -> bytes:
    """The DUID-LL of a link (RFC 8415 section 11.4), which is DUIDType=link-layer."""
    return b"\x00\x03" + htype.to_bytes(2, "big") + mac


def iaid(name: bytes) -> bytes:
    """The four bytes that identify the link called ``name``."""
    number = siphash24(name)
    return ((number & 0xFFFFFFFF) ^ number >> 32).to_bytes(4, "big")


def duid(path: str) -> bytes:
    """The machine's DUID-EN. SettingsError when the file ``path`` has no machine-id."""
    try:
        machine = bytes.fromhex(read_line(path))
    except ValueError:
        machine = b""
    if len(machine) != 16:
        raise SettingsError((f'client_id = "networkd" needs a machine-id, and {path} has none; use "mac", or run '
                             "systemd-machine-id-setup",))
    return _DUID_EN + siphash24(machine).to_bytes(8, "little")


def siphash24(data: bytes, key: bytes = _KEY) -> int:
    """SipHash-2-4 of ``data``, 64 bits."""
    low, high = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")
    state = (low ^ 0x736F6D6570736575, high ^ 0x646F72616E646F6D, low ^ 0x6C7967656E657261, high ^ 0x7465646279746573)
    padded = data + bytes(7 - len(data) % 8) + bytes([len(data) & 0xFF])
    for at in range(0, len(padded), 8):
        word = int.from_bytes(padded[at:at + 8], "little")
        a, b, c, d = _round(_round((state[0], state[1], state[2], state[3] ^ word)))
        state = (a ^ word, b, c, d)
    state = (state[0], state[1], state[2] ^ 0xFF, state[3])
    for _ in range(4):
        state = _round(state)
    return state[0] ^ state[1] ^ state[2] ^ state[3]


def _round(state: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    a, b, c, d = state
    a, c = (a + b) & _MASK, (c + d) & _MASK
    b, d = _left(b, 13) ^ a, _left(d, 16) ^ c
    a, c = (_left(a, 32) + d) & _MASK, (c + b) & _MASK
    d, b = _left(d, 21) ^ a, _left(b, 17) ^ c
    return a, b, _left(c, 32), d


def _left(word: int, bits: int) -> int:
    return (word << bits | word >> 64 - bits) & _MASK


def _persistent_name(ifname: str, root: str) -> str:
    """The name that udev's database has for the link, "" without one (a container has no udev)."""
    index = read_line(f"{root}/sys/class/net/{ifname}/ifindex")
    try:
        with open(f"{root}/run/udev/data/n{index}", encoding="utf-8", errors="replace") as file:
            lines = file.read(_LIMIT).splitlines()
    except OSError:
        return ""
    known = dict(line[2:].split("=", 1) for line in lines if line.startswith("E:") and "=" in line)
    return next((known[key] for key in _NAMES if known.get(key)), "")
