"""The protocol: RFC 2131's state machine without sockets, clocks or files.

Events go in, actions come out; time is an argument. Start reading at ``client.py``.
"""
