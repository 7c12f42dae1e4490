"""The records of a client: history, log, metrics. Start reading at ``report.py``."""
