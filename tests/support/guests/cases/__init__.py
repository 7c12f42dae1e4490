"""Guests as they are found: a configuration, a take-over, a reboot, and what is different afterwards.

``./dev guests`` runs folders of cases; the format is in tests/guests/README.md.
"""
