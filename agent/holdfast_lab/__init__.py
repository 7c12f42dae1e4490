"""The bench: network namespaces, a scripted DHCP server with faults, and witnesses.

Imported by ``cli`` and tests only. What the witnesses say comes from the wire and from netlink, never from
the client's own log. Start reading at ``netns.py``, then ``server.py``, then ``verdict.py``.
"""
