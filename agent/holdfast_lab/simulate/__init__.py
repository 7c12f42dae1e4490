"""Many clients on a virtual clock: the protocol of ``core`` and models of other clients, without a socket.

Start reading at ``world.py``; ``fleet.py`` fills it with clients. Nothing here reads a clock or opens anything; the
same seed gives the same run.
"""
