"""Parsers of other programs' files; nothing else parses them."""
