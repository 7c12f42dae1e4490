"""Bytes <-> meaning. Standard library only; raises WireError and nothing else."""


class WireError(ValueError):
    """A packet that cannot be read, or a message that cannot be written. The text says why.

    ``reason`` is one word of a small fixed set, fit to be counted: "length" (too short, too long,
    or lengths that contradict each other), "cookie", "hardware-length", "option" (an option that
    reaches past the end of its field, or a value that cannot be used), "protocol" (not what we
    asked the kernel for), "fragment", "checksum", "vlan" (tagged for
    another interface), "value" (our own message cannot be written).
    """

    def __init__(self, text: str, reason: str = "option") -> None:
        super().__init__(text)
        self.reason = reason
