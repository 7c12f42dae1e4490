"""The Varlink interface, its server, and the one client of it."""
