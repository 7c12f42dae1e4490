"""The only place with clocks, sockets, files and signals. Start reading at ``driver.py``."""
