"""What other programs' configuration says: one file for each network manager, read from files below a root.

``formats/`` parses, and nothing else does. The doctor and a take-over read through these files; nothing here knows of
them, starts or stops anything, or asks a running process. Every function that is given a ``Tree`` may raise OSError (a
file that is there and cannot be read) and ``FormatError`` (one that cannot be understood), and no other error.
"""
