"""The daemon. Start reading at ``driver.py``."""
