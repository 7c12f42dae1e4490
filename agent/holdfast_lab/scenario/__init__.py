"""A scenario: its file, its play, its result."""
