"""Readers of other programs' configuration: one file for each network manager, with paths below a root.

``formats/`` has the parsers. The doctor and a take-over use these files. Nothing here imports them, starts or stops
anything, or asks a running process. Every function that is given a ``Tree`` may raise OSError (a
file that is there and cannot be read) and ``FormatError`` (one that cannot be understood), and no other error.
"""
